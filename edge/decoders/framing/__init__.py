"""Bytes to binary frames: records of one length, length-prefixed, COBS, SLIP; bounded, and the same in any chunks.

A frame of fixed or said length (`synced`) is believed where its sync word is there and its checksum is right; without a
checksum, where the next frame's sync word follows it: a record that lost a byte ends in the middle of the next one.
COBS and SLIP (`ended`) say by a byte of its own where a frame ends. What a table says of it is in `keys`.
"""
