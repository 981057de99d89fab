"""Real weights on this machine: what the hub has, how it gets here, what is held, and where it lies.

Files lie in the layout of the hub's own client (`models--OWNER--NAME/{blobs,snapshots}`), so that a folder
which that client has filled can be used as it is. Only `listing` and `download` talk to the hub.
"""
