"""Custody: what happened to which bytes, and how anybody can check it.

artifacts   bytes by their SHA-256              keys/       who signs and who opens, behind a port
streams     encryption of long streams (Tink)   sealing     envelope encryption of files
dsse        signed envelopes                    statements  in-toto statements inside them
ledger/     the append-only Merkle log          entries     what the log holds of a statement
gate        rules over evidence                 seen        the newest checkpoint seen of each ledger
"""
