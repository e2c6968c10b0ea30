"""Recordings and marks that exist as files, brought into the log.

`tables` reads files (`text` with `header`, `quotes` and `torn`, `arrays`, `sheets`; `selecting` says which columns,
`source` is what they share), `stamps` makes times of columns, `order` sees that time rises, `numbers` finds the sample
type, `labels` makes runs of a column: `readings` puts them together, as `options` say, into `prepared` imports.
`paths`, `choosing` and `batch` are for many files at once, `laying` and `joining` for where they lie. `markrows`,
`grids` and `marks` are for files of marks. polars is loaded only when a file is read.
"""
