//! The stores on other machines, over real servers on loopback.

#[path = "../../servers/process.rs"]
mod process;
mod rclone;
#[path = "../../servers/s3_for_rclone.rs"]
mod s3_for_rclone;
#[path = "../../servers/sshd.rs"]
mod sshd;
#[path = "../../servers/webdav.rs"]
mod webdav;
