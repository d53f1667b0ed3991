"""Looking at a table before it is learned from: what its columns are, what is odd about them, and what to do about it.

`survey` reads the raw data by the code of the prepare stage, so that what the profile says is what preparing will do;
`suspicions` and `proposals` are pure, and `document` is what the page and the command draw from.
"""
