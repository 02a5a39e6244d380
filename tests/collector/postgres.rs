//! A PostgreSQL of the tests' own, from Debian's package: its folder is temporary, it ends with the tests.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A server that runs until it is dropped, or this process ends in whatever way.
pub struct Server {
    /// It reads from us; once we are gone its input ends, and so does the server.
    shell: Child,
    pub port: u16,
    folder: tempfile::TempDir,
}

/// Where Debian puts the programs, which are not in the path there.
fn programs() -> PathBuf {
    let mut found: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    found.retain(|folder: &PathBuf| folder.join("postgres").exists());
    found.sort();
    found.pop().expect("no PostgreSQL: `tools/setup.sh test` installs it (Debian: postgresql)")
}

impl Server {
    /// Starts one on a free port.
    pub fn start() -> Self {
        Self::run("initdb -U hitl -A trust -E UTF8 --locale=C --no-sync")
    }

    /// Starts a standby of this one, which has every commit before the commit's answer.
    pub fn standby(&self) -> Self {
        let standby = Self::run(&format!("pg_basebackup -h 127.0.0.1 -p {} -U hitl -R -c fast", self.port));
        // After the copy, so that the standby, once promoted, waits for nobody.
        self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.sql("postgres", "SELECT pg_reload_conf()");
        let synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        let begun = Instant::now();
        while self.sql("postgres", synchronous) != "1\n" {
            assert!(begun.elapsed() < Duration::from_secs(60), "the standby does not follow");
            std::thread::sleep(Duration::from_millis(50));
        }
        standby
    }

    /// As if its machine were gone: the server with all of its processes.
    pub fn kill(&self) {
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let lines = read(&self.folder.path().join("db/postmaster.pid"));
        let server = lines.lines().next().unwrap();
        let children = read(Path::new(&format!("/proc/{server}/task/{server}/children")));
        // One of them may have ended meanwhile.
        let all = children.split_whitespace();
        Command::new("kill").args(["-KILL", server]).args(all).stderr(Stdio::null()).status().unwrap();
        // It can no longer give its own mark in the system's shared memory back.
        if let Some(mark) = lines.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
            let _ = Command::new("ipcrm").args(["-m", mark]).stderr(Stdio::null()).status();
        }
    }

    /// It goes on, and takes no more changes: so managers of clusters fence a server.
    pub fn fence(&self) {
        self.sql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on");
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// The standby becomes the server that takes changes.
    pub fn promote(&self) {
        assert_eq!(self.sql("postgres", "SELECT pg_promote()"), "t\n");
    }

    /// Runs one on what the program `made_by` makes. The server refuses to run as root, who gives it to `nobody`.
    fn run(made_by: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("hitl-pg-").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let script = r#"
            set -e
            bin=$1 folder=$2 port=$3 made_by=$4
            as=
            if [ "$(id -u)" = 0 ]; then
                chown nobody "$folder"
                as='setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/nonexistent'
            fi
            cd "$folder"
            $as "$bin/"$made_by -D "$folder/db" >"$folder/made.log" 2>&1
            $as "$bin/postgres" -D "$folder/db" -k "$folder" -p "$port" -c listen_addresses=127.0.0.1 \
                -c max_connections=200 -c fsync=off -c dynamic_shared_memory_type=mmap -c log_min_messages=fatal 2>"$folder/log" &
            until $as "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do sleep 0.1; done
            echo ready
            read -r _ || true
            kill -INT $! 2>/dev/null || true
            wait || true
            rm -rf "$folder"
        "#;
        let mut shell = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(programs())
            .arg(folder.path())
            .arg(port.to_string())
            .arg(made_by)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "PostgreSQL did not start");
        Self { shell, port, folder }
    }

    /// Runs SQL in a database; gives the rows, fields separated by a bar.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut command = Command::new(programs().join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "hitl"]);
        let output =
            command.arg("-p").arg(self.port.to_string()).args(["-d", database, "-c", sql]).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://hitl@127.0.0.1:{}/{database}", self.port)
    }

    /// Breaks every connection off and lets nobody in, or lets everybody in again.
    pub fn allow(&self, database: &str, allowed: bool) {
        self.sql("postgres", &format!("ALTER DATABASE \"{database}\" ALLOW_CONNECTIONS {allowed}"));
        if !allowed {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname =";
            self.sql("postgres", &format!("{end} '{database}'"));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        let _ = &self.folder;
    }
}

/// The one that all tests share; each has a database of its own.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// The name of the database that stands for a folder; made if it is not there.
pub fn database(data: &Path) -> String {
    static MADE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = made.iter().position(|known| known == data).unwrap_or_else(|| {
        server().sql("postgres", &format!("CREATE DATABASE d{}", made.len()));
        made.push(data.to_owned());
        made.len() - 1
    });
    format!("d{place}")
}

/// What tells a collector to keep its records there.
pub fn arguments(data: &Path) -> Vec<OsString> {
    vec!["--database".into(), server().url(&database(data)).into()]
}

/// Id, item, label and record of every row in the order of arrival.
pub fn rows(data: &Path) -> Vec<(String, String, String, String)> {
    let sql = "SELECT json_build_array(id, item_id, label, record) FROM hitl_records ORDER BY seq";
    let text = server().sql(&database(data), sql);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Nothing is there twice, and every row is the record that it says.
pub fn sound(data: &Path) {
    let sql = "SELECT count(*) - count(DISTINCT id), count(*) FILTER (WHERE record::json->>'id' <> id::text) FROM hitl_records";
    assert_eq!(server().sql(&database(data), sql), "0|0\n");
}
