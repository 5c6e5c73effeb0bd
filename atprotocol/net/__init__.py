"""The sockets of the protocol: a bounded HTTP client, the identity directory, firehose and repos."""
