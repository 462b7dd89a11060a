"""What a file asks for, added up before it is given: weights, calls of layers, one observation's results, buffers."""
