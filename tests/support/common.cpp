// Nothing of its own: the target that the precompiled header of all tests belongs to (CMakeLists.txt).
