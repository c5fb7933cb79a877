"""Formats of OpenAI's fine-tuning API that client, fake and cassettes share; standard library only."""
