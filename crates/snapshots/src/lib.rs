//! Image layers and writable root file systems on disk, given out as mounts.
