"""The page that shows an account in a browser: its files, and the views of the account that it reads.

A look costs the same however much the account holds; it moves no time at any pace, and is in no request log.
"""
