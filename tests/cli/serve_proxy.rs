//! The page of `heirloom serve` behind nginx with TLS, by the example in scripts/.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Stdio};

use crate::run_world::{Run, live};
use crate::serve_world::{ADMIN, world};
use crate::tools::have;
use crate::world::World;

/// An nginx that follows the example. It is ended when dropped.
pub struct Nginx(Child);

impl Nginx {
    /// Starts it with TLS on a port, in front of `admin.sock`, whose server is `run`; what it serves is under `path`.
    pub fn start(world: &World, run: &mut Run, port: u16, path: &str) -> Self {
        let certificate = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 \
                           -subj /CN=backups.example -addext subjectAltName=DNS:backups.example";
        world.run(&mut world.shell(certificate)).success();
        let example = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/nginx.example.conf")).unwrap();
        let here = world.work().to_string_lossy().into_owned();
        let example = example
            .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
            .replace("location / ", &format!("location {path} "))
            .replace("/etc/ssl/backups.example.pem", &format!("{here}/cert.pem"))
            .replace("/etc/ssl/backups.example.key", &format!("{here}/key.pem"))
            .replace("/run/heirloom/", &format!("{here}/"));
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {here}/{kind};"));
        // The workers belong to the group of the socket.
        let user = if rustix::process::getuid().is_root() { "user root root;" } else { "" };
        let text = format!(
            "{user} daemon off; pid {here}/pid; error_log {here}/errors;\nevents {{}}\nhttp {{ access_log off; {}\n{example}}}\n",
            temporary.concat()
        );
        fs::write(world.path("nginx.conf"), text).unwrap();
        let mut nginx = world.shell(&format!("exec nginx -c {here}/nginx.conf"));
        let nginx = Self(nginx.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        run.until(|_| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(), "nginx listens");
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn behind_a_proxy_with_tls_an_administrator_signs_in_and_makes_a_backup() {
    if !have("the example for nginx", &["nginx", "curl", "openssl"]) {
        return;
    }
    // Free again, as far as anybody can say.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let world = world(&format!("public_url = 'https://backups.example:{port}/'"));
    let words = ["serve", "--config", "h.toml", "--listen", "unix:admin.sock"];
    let mut run = Run::start(&world, &mut live(&world, words));
    run.says("listening on unix:admin.sock");
    let _nginx = Nginx::start(&world, &mut run, port, "/");

    let url = format!("https://backups.example:{port}");
    let curl = format!("curl -s --cacert cert.pem --resolve backups.example:{port}:127.0.0.1 -b jar -c jar");
    let ask = |more: &str| world.run(&mut world.shell(&format!("{curl} {more}"))).success().stdout;
    let form = format!("-o /dev/null -w '%{{http_code}} %{{redirect_url}}' -H 'Origin: {url}'");
    assert_eq!(ask(&format!("{form} --data-urlencode token={ADMIN} {url}/sign-in")), format!("303 {url}/"));
    let cookies = fs::read_to_string(world.path("jar")).unwrap();
    assert!(cookies.contains("__Host-heirloom") && cookies.contains("TRUE"), "{cookies}");
    let page = ask(&format!("{url}/"));
    let token = page.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let made = ask(&format!("{form} -d form_token={token} -d set=app {url}/backups"));
    assert!(made.starts_with(&format!("303 {url}/jobs/")), "{made}");
    run.until(|_| world.archives().len() == 1, "the backup");
    let name = &world.archives()[0];
    ask(&format!("-o loaded {url}/backups/{name}/download"));
    assert_eq!(fs::read(world.path("loaded")).unwrap(), fs::read(world.path(format!("backups/{name}"))).unwrap());
    let foreign = ask(&format!("-o /dev/null -w '%{{http_code}}' -H 'Host: evil.example' {url}/"));
    assert_eq!(foreign, "403");
    assert_eq!(
        ask(&format!("-o /dev/null -w '%{{http_code}}' -H 'Origin: null' -d token={ADMIN} {url}/sign-in")),
        "403"
    );
}
