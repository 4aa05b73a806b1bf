"""Reading what people write, piece by piece, with every problem and its place: documents, and the settings inside them."""
