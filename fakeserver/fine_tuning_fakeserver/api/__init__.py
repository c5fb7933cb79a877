"""The API's verbs: each decides on an account as it is now, and answers or refuses."""
