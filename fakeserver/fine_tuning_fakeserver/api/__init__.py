"""The operations of the API, a module a resource: each decides on an account as it is now, and answers or refuses."""
