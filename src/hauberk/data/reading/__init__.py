"""Reading: from files that nobody has vouched for to arrays that are known and split. `formats` has one reader a format."""
