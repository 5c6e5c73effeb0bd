"""The network's rules: what AT Protocol bytes and strings mean, and when they are wrong.

Pure: no socket, no clock, no environment. `atprotocol.net` is the only place here that opens
a socket. The package knows nothing of any application; its sources are https://atproto.com/specs.
"""
