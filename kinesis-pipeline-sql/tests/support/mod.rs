//! A PostgreSQL server of the test's own, found on the machine and run as a user that is not root.

use std::{
    env, fs,
    io::Write as _,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tokio_postgres::{Client, NoTls};

/// The user `nobody`: PostgreSQL does not run as root.
const NOBODY: u32 = 65_534;
const READY_TRIES_MAX: usize = 600;

static STARTED: AtomicU32 = AtomicU32::new(0);

/// A server and its data, both gone when it is dropped.
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    server: Option<Child>,
    bouncer: Option<Bouncer>,
}

/// A `PgBouncer` in its transaction mode, before the server.
struct Bouncer {
    port: u16,
    process: Child,
}

impl Postgres {
    /// Starts a server; `None`, with a line that cannot be overlooked, where none is installed.
    pub(crate) async fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!(
                "\n*** SKIPPED: no PostgreSQL here. Install it, or set KINESIS_PIPELINE_POSTGRES to the folder of initdb and postgres ***\n"
            );
            return None;
        };
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("kinesis-pipeline-postgres-{}-{number}", std::process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        if geteuid().is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let port = free_port();
        let mut postgres = Self {
            programs,
            folder,
            port,
            server: None,
            bouncer: None,
        };
        let made = postgres
            .command("initdb")
            .args([
                "--no-sync",
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(postgres.folder.join("data"))
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        postgres.run().await;
        if let Some(program) = env::var_os("KINESIS_PIPELINE_PGBOUNCER") {
            postgres.bounce(Path::new(&program)).await;
        }
        Some(postgres)
    }

    /// Starts the server, and waits until it answers.
    pub(crate) async fn run(&mut self) {
        for _ in 0..READY_TRIES_MAX {
            if self
                .server
                .as_mut()
                .is_none_or(|server| server.try_wait().unwrap().is_some())
            {
                let log = fs::File::create(self.folder.join("log")).unwrap();
                let server = self
                    .command("postgres")
                    .arg("-D")
                    .arg(self.folder.join("data"))
                    .arg("-k")
                    .arg(&self.folder)
                    .args([
                        "-c",
                        "listen_addresses=127.0.0.1",
                        "-c",
                        "max_connections=100",
                    ])
                    .args(["-p", &self.port.to_string()])
                    .stderr(log)
                    .spawn();
                self.server = Some(server.unwrap());
            }
            if tokio_postgres::connect(&self.url(), NoTls).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("PostgreSQL does not answer: {log}");
    }

    /// Ends the server as a crash would: it recovers from its log at the next start.
    pub(crate) fn crash(&mut self) {
        if let Some(mut server) = self.server.take() {
            let pid = Pid::from_raw(server.id().cast_signed()).unwrap();
            kill_process(pid, Signal::QUIT).unwrap();
            server.wait().unwrap();
        }
    }

    /// Starts a `PgBouncer` for the sinks' connections: each transaction may have another one of the server.
    async fn bounce(&mut self, program: &Path) {
        let port = free_port();
        let settings = self.folder.join("pgbouncer.ini");
        let text = format!(
            "[databases]\npostgres = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nauth_type = any\npool_mode = transaction\nunix_socket_dir =\n\
             server_login_retry = 1\nserver_check_delay = 0\nserver_round_robin = 1\nmax_client_conn = 200\n",
            self.port
        );
        fs::write(&settings, text).unwrap();
        let log = fs::File::create(self.folder.join("bouncer.log")).unwrap();
        let process = as_user(Command::new(program).arg(settings).stdin(Stdio::null()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.bouncer = Some(Bouncer { port, process });
        for _ in 0..READY_TRIES_MAX {
            if tokio_postgres::connect(&self.sink_url(), NoTls)
                .await
                .is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = fs::read_to_string(self.folder.join("bouncer.log")).unwrap_or_default();
        panic!("PgBouncer does not answer: {log}");
    }

    /// Lets the server take TLS too, with this certificate and its key.
    pub(crate) async fn serve_tls(&mut self, certificate: &str, key: &str) {
        self.crash();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = self.folder.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            if geteuid().is_root() {
                chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let folder = self.folder.display();
        let settings = format!(
            "ssl = on\nssl_cert_file = '{folder}/server.crt'\nssl_key_file = '{folder}/server.key'\n"
        );
        let file = fs::OpenOptions::new()
            .append(true)
            .open(self.folder.join("data/postgresql.conf"));
        file.unwrap().write_all(settings.as_bytes()).unwrap();
        self.run().await;
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable",
            self.port
        )
    }

    /// The URL for sinks: through a `PgBouncer`, if `KINESIS_PIPELINE_PGBOUNCER` names the program.
    pub(crate) fn sink_url(&self) -> String {
        let port = self
            .bouncer
            .as_ref()
            .map_or(self.port, |bouncer| bouncer.port);
        format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable")
    }

    /// Another client's answer to a query, as text: rows in lines, columns between `|`.
    pub(crate) fn psql(&self, query: &str) -> String {
        let mut command = self.command("psql");
        command.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", query]);
        let answer = command.arg(self.url()).stdout(Stdio::piped()).output();
        let answer = answer.unwrap();
        let error = String::from_utf8_lossy(&answer.stderr);
        assert!(answer.status.success(), "{error}");
        String::from_utf8(answer.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        as_user(&mut command);
        command
    }
}

/// Lets a program run as a user that is not root.
fn as_user(command: &mut Command) -> &mut Command {
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(bouncer) = &mut self.bouncer {
            let _ = bouncer.process.kill();
            let _ = bouncer.process.wait();
        }
        self.crash();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of the server's programs.
fn programs() -> Option<PathBuf> {
    let has = |folder: &PathBuf| folder.join("initdb").exists() && folder.join("postgres").exists();
    if let Some(folder) = env::var_os("KINESIS_PIPELINE_POSTGRES") {
        return Some(folder.into()).filter(has);
    }
    let installed = fs::read_dir(Path::new("/usr/lib/postgresql"))
        .into_iter()
        .flatten()
        .flatten();
    let mut folders: Vec<_> = installed.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    let path = env::var_os("PATH").unwrap_or_default();
    folders.extend(env::split_paths(&path));
    folders.into_iter().find(has)
}
