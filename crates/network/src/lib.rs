//! Pod network namespaces and the Container Network Interface.
