//! The stores on other machines, over real servers on loopback.

mod connect;
#[allow(dead_code, reason = "shared with the tests of the commands")]
#[path = "../../servers/connect.rs"]
mod connect_server;
#[path = "../../servers/process.rs"]
mod process;
mod rclone;
#[path = "../../servers/sshd.rs"]
mod sshd;
#[path = "../../servers/webdav.rs"]
mod webdav;
