//! A private PostgreSQL (15 or later) in a folder of its own, for the demo, the bench and the tests.
//!
//! A small shell stands between: it holds the other end of a pipe and ends the server when the pipe closes, so that no
//! server outlives this process however that ends. PostgreSQL refuses to run as root, so root hands it to an unprivileged
//! user. It listens on a socket in its folder and on a free loopback port, both with a random SCRAM password.
//! Not for production: there the operator's own cluster is used, by URL.

use crate::domain::clock::Random;
use std::{
    fs, io,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

const OLDEST_MAJOR: u32 = 15;
const PREFIX: &str = "onechannel-pg-";
const READY_WITHIN: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// Arguments: folder, signal, `keep` or `remove`, then the server's own.
const KEEPER: &str = r#"
folder=$1 signal=$2 after=$3
shift 3
( "$@"; : >"$folder/ended" ) &
read -r _
server=$(head -n 1 "$folder/data/postmaster.pid" 2>/dev/null) && kill -s "$signal" "$server" 2>/dev/null
wait
[ "$after" = keep ] || rm -rf "$folder"
"#;

/// Why no private server could be had.
#[derive(Debug, thiserror::Error)]
pub enum PostgresFault {
    /// No server of a fitting version; the text names the command that installs it.
    #[error("no PostgreSQL {OLDEST_MAJOR} or later was found; install it with: {0}")]
    NotFound(&'static str),
    /// A program of the server failed; its output follows.
    #[error("{program} failed: {output}")]
    Program {
        /// Which program.
        program: &'static str,
        /// What it printed.
        output: String,
    },
    /// A file or process operation failed.
    #[error("{0}: {1}")]
    Io(&'static str, #[source] io::Error),
    /// The server did not answer in time; the last lines of its log follow.
    #[error("the server did not become ready: {0}")]
    NotReady(String),
}

/// How much durability the server gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The server's defaults: fsync and synchronous_commit on.
    Default,
    /// None: for tests that do not look at crashes.
    None,
}

/// A running private server.
#[derive(Debug)]
pub struct PrivatePostgres {
    bin: PathBuf,
    folder: PathBuf,
    kept: bool,
    user: Option<(u32, u32)>,
    password: String,
    port: u16,
    durability: Durability,
    keeper: Option<Child>,
}

impl PrivatePostgres {
    /// Its folder; without one to keep it goes when the server ends, also by force.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts a server in a temporary folder, or in `keep`, where an earlier one is started again. Blocks while
    /// `initdb` runs (about a second).
    ///
    /// # Errors
    /// [`PostgresFault`].
    pub fn start(durability: Durability, keep: Option<&Path>, random: &dyn Random) -> Result<Self, PostgresFault> {
        let bin = find_or_install()?;
        let user = is_root().then(unprivileged).flatten();
        let base = std::env::temp_dir();
        let folder = match keep {
            Some(folder) => folder.to_path_buf(),
            None => base.join(format!("{PREFIX}{}-{}", std::process::id(), hex_word(random, 4))),
        };
        fs::create_dir_all(&folder).map_err(|e| PostgresFault::Io("create the server's folder", e))?;
        own(&folder, user)?;
        let mut server = Self {
            bin,
            folder,
            kept: keep.is_some(),
            user,
            password: String::new(),
            port: 0,
            durability,
            keeper: None,
        };
        let secret = server.folder.join("password");
        if server.data().join("PG_VERSION").exists() {
            server.password = fs::read_to_string(&secret).map_err(|e| PostgresFault::Io("read the password", e))?;
        } else {
            server.password = hex_word(random, 16);
            fs::write(&secret, &server.password).map_err(|e| PostgresFault::Io("write the password", e))?;
            fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))
                .map_err(|e| PostgresFault::Io("protect the password", e))?;
            own(&secret, user)?;
            server.initialise(&secret)?;
        }
        server.launch()?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A program of the server's distribution (`psql`, `pgbench`).
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// A connection URL by loopback TCP, superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The server's process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.data().join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.program(program));
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command.current_dir(&self.folder).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        command
    }

    fn initialise(&self, secret: &Path) -> Result<(), PostgresFault> {
        let output = self
            .command("initdb")
            .args(["-E", "UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "-U", "postgres", "--no-sync"])
            .arg("--pwfile")
            .arg(secret)
            .arg("-D")
            .arg(self.data())
            .output()
            .map_err(|e| PostgresFault::Io("run initdb", e))?;
        if output.status.success() {
            return Ok(());
        }
        Err(PostgresFault::Program { program: "initdb", output: String::from_utf8_lossy(&output.stderr).into_owned() })
    }

    fn launch(&mut self) -> Result<(), PostgresFault> {
        if self.port == 0 {
            self.port = free_port()?;
        }
        let log = self.folder.join("server.log");
        let file = fs::File::create(&log).map_err(|e| PostgresFault::Io("create the server's log", e))?;
        let ended = self.folder.join("ended");
        if ended.exists() {
            fs::remove_file(&ended).map_err(|e| PostgresFault::Io("remove the mark of an ended server", e))?;
        }
        let mut command = self.command("/bin/sh");
        command.args(["-c", KEEPER, "keeper"]).arg(&self.folder);
        command.args(if self.kept { ["INT", "keep"] } else { ["QUIT", "remove"] });
        command.arg(self.program("postgres")).arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        command.arg("-k").arg(&self.folder);
        let mut settings = vec!["listen_addresses=127.0.0.1", "max_connections=200", "logging_collector=off"];
        if self.durability == Durability::None {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
        }
        for setting in settings {
            command.args(["-c", setting]);
        }
        let errors = file.try_clone().map_err(|e| PostgresFault::Io("share the server's log", e))?;
        command.stdin(Stdio::piped()).stdout(file).stderr(errors);
        // A group of its own: Ctrl-C on the terminal ends this process first, which then stops the server in order.
        command.process_group(0);
        self.keeper = Some(command.spawn().map_err(|e| PostgresFault::Io("start postgres", e))?);
        self.wait_ready(&log)
    }

    fn wait_ready(&mut self, log: &Path) -> Result<(), PostgresFault> {
        let tail = || {
            let text = fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(5).collect();
            lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
        };
        for _ in 0..READY_WITHIN.as_millis() / PAUSE.as_millis() {
            if self.folder.join("ended").exists() {
                return Err(PostgresFault::NotReady(tail()));
            }
            let status = self
                .command("pg_isready")
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .map_err(|e| PostgresFault::Io("run pg_isready", e))?;
            if status.success() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        Err(PostgresFault::NotReady(tail()))
    }

    /// Stops the server in order; [`PrivatePostgres::resume`] starts it again on the same port.
    ///
    /// # Errors
    /// [`PostgresFault::Io`] where `pg_ctl` cannot run.
    pub fn halt(&mut self) -> Result<(), PostgresFault> {
        self.end("fast")
    }

    /// Ends the server as a crash would: nothing is flushed, sessions are cut.
    ///
    /// # Errors
    /// As [`PrivatePostgres::halt`].
    pub fn crash(&mut self) -> Result<(), PostgresFault> {
        self.end("immediate")
    }

    /// Ends every process of the server by SIGKILL, whatever it does at the moment.
    ///
    /// # Errors
    /// [`PostgresFault`].
    pub fn kill(&mut self) -> Result<(), PostgresFault> {
        let Some(postmaster) = self.pid() else { return Ok(()) };
        let mut all = vec![postmaster];
        all.extend(children(postmaster));
        self.signal_kill(&all)?;
        // A server does not start beside processes of the one before it.
        self.wait("processes that were killed did not end", || all.iter().all(|pid| !runs(*pid)))
    }

    /// Ends one session by SIGKILL; the server then cuts all others and recovers as after a crash, without being started again.
    ///
    /// # Errors
    /// [`PostgresFault`].
    pub fn kill_session(&self, pid: u32) -> Result<(), PostgresFault> {
        self.signal_kill(&[pid])
    }

    fn signal_kill(&self, processes: &[u32]) -> Result<(), PostgresFault> {
        let mut command = self.command("/bin/sh");
        command.args(["-c", r#"kill -s KILL "$@" 2>/dev/null; true"#, "kill"]);
        command.args(processes.iter().map(u32::to_string)).status().map_err(|e| PostgresFault::Io("run kill", e))?;
        Ok(())
    }

    fn wait(&self, unless: &'static str, reached: impl Fn() -> bool) -> Result<(), PostgresFault> {
        for _ in 0..READY_WITHIN.as_millis() / PAUSE.as_millis() {
            if reached() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        Err(PostgresFault::NotReady(unless.to_owned()))
    }

    /// Starts a halted, crashed or killed server again on the same port; it recovers by itself.
    ///
    /// # Errors
    /// [`PostgresFault`].
    pub fn resume(&mut self) -> Result<(), PostgresFault> {
        if self.keeper.is_some() {
            // Its mark would otherwise be taken for that of the server that is started now.
            self.wait("the server did not end", || self.folder.join("ended").exists())?;
        }
        if let Some(mut keeper) = self.keeper.take() {
            // The keeper of a server that has ended would remove the folder: it is ended itself first.
            keeper.kill().and_then(|()| keeper.wait()).map_err(|e| PostgresFault::Io("end the keeper", e))?;
        }
        self.launch()
    }

    fn end(&mut self, mode: &str) -> Result<(), PostgresFault> {
        self.command("pg_ctl")
            .args(["stop", "-s", "-w", "-m", mode, "-D"])
            .arg(self.data())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|e| PostgresFault::Io("run pg_ctl", e))?;
        Ok(())
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        let Some(mut keeper) = self.keeper.take() else { return };
        drop(keeper.stdin.take());
        // Best effort: a drop has nobody to tell; the keeper ends the server either way.
        let _ = keeper.wait();
    }
}

fn hex_word(random: &dyn Random, bytes: usize) -> String {
    let mut word = vec![0; bytes];
    random.fill(&mut word);
    hex::encode(word)
}

fn free_port() -> Result<u16, PostgresFault> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(bound.map_err(|e| PostgresFault::Io("find a free port", e))?.port())
}

fn status_field(name: &str) -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// Fields of a process that are looked at (proc(5), status): its state and its parent.
fn process(pid: u32) -> Option<(char, u32)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
    Some((field("State:")?.chars().next()?, field("PPid:")?.parse().ok()?))
}

/// Whether a process runs; one that nobody has waited for yet does not.
fn runs(pid: u32) -> bool {
    process(pid).is_some_and(|(state, _)| state != 'Z')
}

fn children(of: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| process(*pid).is_some_and(|(_, parent)| parent == of)).collect()
}

fn is_root() -> bool {
    status_field("Uid:") == Some(0)
}

/// (uid, gid) of the user that a distribution makes for PostgreSQL, else of `nobody`.
fn unprivileged() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    ["postgres", "nobody"].iter().find_map(|wanted| {
        let line = users.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

fn own(path: &Path, user: Option<(u32, u32)>) -> Result<(), PostgresFault> {
    let Some((uid, gid)) = user else { return Ok(()) };
    std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(|e| PostgresFault::Io("hand over the folder", e))
}

/// The programs of the newest fitting server: next to `initdb` on the PATH, or in the distributions' folders.
fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for parent in
        ["/usr/lib/postgresql", "/usr/pgsql", "/usr/local/pgsql", "/opt/homebrew/opt", "/usr/lib/postgresql15"]
    {
        folders.push(Path::new(parent).join("bin"));
        let versions = fs::read_dir(parent).into_iter().flatten().flatten();
        folders.extend(versions.map(|version| version.path().join("bin")));
    }
    let complete =
        |folder: &PathBuf| ["initdb", "postgres", "pg_ctl", "pg_isready"].iter().all(|p| folder.join(p).exists());
    folders.into_iter().filter(complete).filter_map(|folder| Some((major(&folder)?, folder))).max().map(|found| found.1)
}

fn major(folder: &Path) -> Option<u32> {
    let output = Command::new(folder.join("initdb")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let number: String = version.chars().take_while(char::is_ascii_digit).collect();
    number.parse().ok().filter(|major| *major >= OLDEST_MAJOR)
}

fn find_or_install() -> Result<PathBuf, PostgresFault> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if is_root() && Path::new("/usr/bin/apt-get").exists() {
        for arguments in [&["update", "-q"][..], &["install", "-y", "-q", "postgresql"]] {
            let output = Command::new("/usr/bin/apt-get")
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .output()
                .map_err(|e| PostgresFault::Io("run apt-get", e))?;
            if !output.status.success() {
                let output = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(PostgresFault::Program { program: "apt-get", output });
            }
        }
    }
    find().ok_or(PostgresFault::NotFound("sudo apt-get install postgresql"))
}
