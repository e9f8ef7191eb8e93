"""One file per contestant; importing it imports the library, nothing else does."""
