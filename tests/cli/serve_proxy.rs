//! The page of `heirloom serve` behind nginx and Caddy with TLS, by the examples in scripts/.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::run_world::{Run, live};
use crate::serve_world::{ADMIN, Server, world};
use crate::tools::have;
use crate::world::World;

/// Is ended when dropped.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An nginx that follows the example. It is ended when dropped.
pub struct Nginx(#[expect(dead_code, reason = "it is kept for its end")] Proxy);

impl Nginx {
    /// Starts it with TLS on a port, in front of `admin.sock`, with the certificate of the world; what it serves is
    /// under `path`.
    pub fn start(world: &World, port: u16, path: &str) -> Self {
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
            "{user} daemon off; pid {here}/pid; error_log {here}/errors;\n\
             events {{}}\nhttp {{ access_log off; {}\n{example}}}\n",
            temporary.concat()
        );
        fs::write(world.path("nginx.conf"), text).unwrap();
        let mut nginx = world.shell(&format!("exec nginx -c {here}/nginx.conf"));
        Self(Proxy(nginx.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()))
    }
}

#[test]
fn behind_a_proxy_with_tls_an_administrator_signs_in_and_makes_a_backup() {
    if !have("the example for nginx", &["nginx", "curl", "openssl"]) {
        return;
    }
    let port = free_port();
    let world = world(&format!("public_url = 'https://backups.example:{port}/'"));
    let run = behind(&world);
    let _proxy = Nginx::start(&world, port, "/");
    an_administrator_works(&world, run, port, "");
}

/// Starts a Caddy that follows the example, with the certificate of the world, in front of `upstream`.
fn caddy(world: &World, port: u16, upstream: &str) -> Proxy {
    let example = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/Caddyfile.example")).unwrap();
    let here = world.work().to_string_lossy().into_owned();
    // The certificate would come from an authority on the Internet, and port 80 is not ours.
    let own = format!("backups.example:{port} {{\n\tbind 127.0.0.1\n\ttls {here}/cert.pem {here}/key.pem");
    let text = example.replace("backups.example {", &own).replace("unix//run/heirloom/admin.sock", upstream);
    assert!(text.contains(upstream) && text.contains("\ttls "), "{text}");
    fs::write(world.path("Caddyfile"), format!("{{\n\tadmin off\n\tauto_https off\n}}\n{text}")).unwrap();
    let mut caddy = world.shell("exec caddy run --adapter caddyfile --config Caddyfile");
    Proxy(caddy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

#[test]
fn behind_caddy_under_a_path_an_administrator_signs_in_and_makes_a_backup() {
    if !have("the example for Caddy", &["caddy", "curl", "openssl"]) {
        return;
    }
    let port = free_port();
    let world = world(&format!("public_url = 'https://backups.example:{port}/admin/backups/'"));
    let run = behind(&world);
    let _proxy = caddy(&world, port, &format!("unix/{}", world.path("admin.sock").display()));
    an_administrator_works(&world, run, port, "/admin/backups");
}

/// Over TCP a proxy is trusted by its address, and then believed about its client: it removes what the client claims.
#[test]
fn caddy_names_the_client_and_not_what_the_client_claims() {
    if !have("the example for Caddy", &["caddy", "curl", "openssl"]) {
        return;
    }
    let port = free_port();
    let world = world(&format!("public_url = 'https://backups.example:{port}/'\ntrusted_proxy = ['127.0.0.1']"));
    let mut server = Server::start(&world);
    certificate(&world);
    let _proxy = caddy(&world, port, &server.address);
    server.run.until(|_| TcpStream::connect(("127.0.0.1", port)).is_ok(), "the proxy listens");
    let url = format!("https://backups.example:{port}/api/v1/backups?wait=60");
    let script = format!(
        "curl -s --fail --interface 127.0.0.9 --cacert cert.pem --resolve backups.example:{port}:127.0.0.1 -X POST \
         -H 'Authorization: Bearer {ADMIN}' -H 'X-Forwarded-For: 203.0.113.7' {url}"
    );
    let made: Value = serde_json::from_str(&world.run(&mut world.shell(&script)).success().stdout).unwrap();
    assert_eq!(made["by"], "ops from 127.0.0.9", "{made}");
}

/// Returns a port that is free, as far as anybody can say: `public_url` must name it before the server listens.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn certificate(world: &World) {
    let certificate = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 \
                       -subj /CN=backups.example -addext subjectAltName=DNS:backups.example";
    world.run(&mut world.shell(certificate)).success();
}

/// Starts a server on a Unix socket, and makes a certificate.
pub fn behind(world: &World) -> Run {
    let mut run = Run::start(world, &mut live(world, ["serve", "--config", "h.toml", "--listen", "unix:admin.sock"]));
    run.says("listening on unix:admin.sock");
    certificate(world);
    run
}

/// Signs in through a proxy, makes a backup and downloads it. `base` is the path of `public_url`.
fn an_administrator_works(world: &World, mut run: Run, port: u16, base: &str) {
    run.until(|_| TcpStream::connect(("127.0.0.1", port)).is_ok(), "the proxy listens");
    let origin = format!("https://backups.example:{port}");
    let url = format!("{origin}{base}");
    let curl = format!("curl -s --cacert cert.pem --resolve backups.example:{port}:127.0.0.1 -b jar -c jar");
    let ask = |more: &str| world.run(&mut world.shell(&format!("{curl} {more}"))).success().stdout;
    let form = format!("-o /dev/null -w '%{{http_code}} %{{redirect_url}}' -H 'Origin: {origin}'");
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
    // Caddy answers itself, with nothing; nginx asks the server.
    let foreign = ask(&format!("-H 'Host: evil.example' {url}/"));
    assert!(page.contains("form_token") && !foreign.contains("form_token"), "{foreign}");
    assert_eq!(
        ask(&format!("-o /dev/null -w '%{{http_code}}' -H 'Origin: null' -d token={ADMIN} {url}/sign-in")),
        "403"
    );
}
