"""Recordings and marks that exist as files, brought into the log.

`tables` reads files (`text` with `header` and `torn`, `arrays`; `source` is what they share), `stamps` makes times of
columns, `order` sees that time rises, `numbers` finds the sample type; `readings` and `marks` put them together. polars
is loaded only when a file is read.
"""
