"""Named arrays as bytes in a file, complete and verified; large ones in pieces that files share.

A file `lerax-1` is one line `lerax-1 <SHA-256 of the rest>`, one line of JSON (the arrays' names, types and
shapes, and metadata), and the arrays' bytes. A file `lerax-2` has large arrays in files of their own,
`segments/<SHA-256>` beside it: its first line is `lerax-2 <SHA-256 of the second>`, and the JSON also says of
each array its size and its segments, and the SHA-256 of the bytes that follow. Nothing in either is ever
executed, and what a header says is compared with the sizes of files before it is believed.
"""

from .reading import MAGIC as MAGIC
from .reading import Archive as Archive
from .reading import CheckpointError as CheckpointError
from .reading import Entry as Entry
from .segments import SEGMENTS as SEGMENTS
from .segments import Segments as Segments
from .writing import write as write
