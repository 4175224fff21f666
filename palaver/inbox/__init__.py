"""An account's conversations: the last message of each, how many are unread, and where each is put.

What a message writes is written without reading anything, so that it goes into the batch that archives the
message: the last message, an entry in the log of unread ones, and, by who wrote it, how far he has read.
"""
