"""The fake's own description: an OpenAPI document, made of what checks requests and of the ledger's answers."""
