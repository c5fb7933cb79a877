"""Any server that claims the fine-tuning API, held to the contract.

The same requests go to the server and to a fake of its own in process, in the dialect that the server claims; what the
fake answers is what is wanted of the server, with the evidence that the ledger has for it.
"""
