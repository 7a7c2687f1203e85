//! Room on the disks.
