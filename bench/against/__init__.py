"""./dev bench --against: is the library faster or slower than another state of it, row by row."""
