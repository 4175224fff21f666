"""What entities say that they can do (XEP-0115, 0390): hashes of disco#info, and what they stand for."""
