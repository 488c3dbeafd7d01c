"""Given parts of molecules: a scaffold with attachment points, or two fragments to link."""
