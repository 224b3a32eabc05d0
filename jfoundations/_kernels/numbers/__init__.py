"""How numbers are held: counts, two words, units of a power of two, sortable bits."""
