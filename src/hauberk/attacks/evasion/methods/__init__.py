"""The registered evasion attacks, one file each; files that begin with an underscore are shared by several."""
