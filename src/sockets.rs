//! Listening sockets: those that systemd hands over, and bound ones for the rest.
//!
//! While systemd holds the sockets of a socket unit, clients that come during a restart wait in
//! their queues and nobody is refused (sd_listen_fds(3)). A socket belongs to the listener with its
//! very address and to no other, since listeners differ in whom they trust. What is served there is
//! up to the caller.

use std::env;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};

use listenfd::ListenFd;
use socket2::{Protocol, SockRef};
use tokio::net::TcpListener;

/// Sockets that are taken at most. One is needed for each listener, and one for the admin address.
const MOST: usize = 256;

/// What is wrong with a socket that was handed over.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// The number of sockets is none, or too large.
    #[error("`LISTEN_FDS` is `{0}`, not a number of sockets up to {MOST}")]
    Count(String),
    /// The descriptor is something else than a TCP socket that listens.
    #[error(
        "{socket} from systemd is no TCP listener: {problem}; the socket unit needs \
         `ListenStream=` with an IP address and a port, and `Accept=no`"
    )]
    NotListening {
        /// Which one.
        socket: Label,
        /// What it is instead.
        problem: String,
    },
    /// No listener has its address.
    #[error(
        "{socket} from systemd listens on {address}, which is not an `address` of the \
         configuration{}",
        Hint(*.near)
    )]
    NotWanted {
        /// Which one.
        socket: Label,
        /// Where it listens.
        address: SocketAddr,
        /// A listener's address with the same port.
        near: Option<SocketAddr>,
    },
    /// Another one has the same address.
    #[error(
        "{socket} from systemd listens on {address} as one before it does; remove one of the two"
    )]
    Twice {
        /// Which one.
        socket: Label,
        /// Where both listen.
        address: SocketAddr,
    },
}

/// The place of a socket among those handed over, from 1, and its `FileDescriptorName=`.
#[derive(Debug, Clone)]
pub struct Label {
    number: usize,
    name: Option<String>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socket {}", self.number)?;
        match &self.name {
            Some(name) => write!(f, " (`{}`)", name.escape_debug()),
            None => Ok(()),
        }
    }
}

/// What to write when only the host differs: `ListenStream=2525` means all of IPv6 and IPv4.
struct Hint(Option<SocketAddr>);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(near) => write!(f, "; write `ListenStream={near}`, or change `{near}` there"),
            None => f.write_str("; add a listener for it, or take it out of the socket unit"),
        }
    }
}

/// Sockets that were handed over and are not yet in use.
#[derive(Debug, Default)]
pub struct Sockets {
    handed: Vec<Handed>,
    bound: Vec<(SocketAddr, TcpListener)>,
}

#[derive(Debug)]
struct Handed {
    label: Label,
    address: SocketAddr,
    listener: StdListener,
}

impl Sockets {
    /// Takes the sockets that `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` speak of, if they are
    /// meant for this process.
    ///
    /// The first two variables are removed, so that no child takes the sockets for its own. To be
    /// called once, before there are other threads.
    ///
    /// # Errors
    /// Everything that is wrong with the sockets.
    pub fn from_environment() -> Result<Self, Vec<SocketsError>> {
        let read = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let (count, pid) = (read("LISTEN_FDS"), read("LISTEN_PID"));
        let count = count_for(count.as_deref(), pid.as_deref(), std::process::id());
        let count = count.map_err(|error| vec![error])?;
        if count == 0 {
            return Ok(Self::default());
        }
        let names = names(read("LISTEN_FDNAMES").as_deref(), count);
        let mut sockets = ListenFd::from_env();
        let (mut handed, mut errors) = (Vec::new(), Vec::new());
        for (index, name) in names.into_iter().enumerate() {
            let socket = Label { number: index + 1, name };
            match take(&mut sockets, index) {
                Ok((listener, address)) => handed.push(Handed { label: socket, address, listener }),
                Err(error) => {
                    let problem = error.to_string();
                    errors.push(SocketsError::NotListening { socket, problem });
                }
            }
        }
        if errors.is_empty() { Ok(Self { handed, bound: Vec::new() }) } else { Err(errors) }
    }

    /// Checks that each socket belongs to one of these addresses, before any of them is in use.
    ///
    /// Addresses have to be the same to belong together: a wildcard address is not those that it
    /// covers, and port 0 is not any port.
    ///
    /// # Errors
    /// Each socket that belongs to none, or to the same as another.
    pub fn check(&self, wanted: &[SocketAddr]) -> Result<(), Vec<SocketsError>> {
        let mut errors = Vec::new();
        for (index, handed) in self.handed.iter().enumerate() {
            let (socket, address) = (handed.label.clone(), handed.address);
            if !wanted.contains(&address) {
                let near = wanted.iter().find(|wanted| wanted.port() == address.port()).copied();
                errors.push(SocketsError::NotWanted { socket, address, near });
            } else if self.handed.iter().take(index).any(|other| other.address == address) {
                errors.push(SocketsError::Twice { socket, address });
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Binds an address unless a socket for it was handed over or bound before.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(&mut self, address: SocketAddr) -> io::Result<()> {
        let is_handed = self.handed.iter().any(|handed| handed.address == address);
        // Port 0 is another one each time.
        let is_bound = self.bound.iter().any(|(bound, _)| *bound == address && address.port() != 0);
        if !is_handed && !is_bound {
            self.bound.push((address, TcpListener::bind(address).await?));
        }
        Ok(())
    }

    /// Returns the socket that was handed over for an address or bound before, or binds one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn listen(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        if let Some(index) = self.handed.iter().position(|handed| handed.address == address) {
            return TcpListener::from_std(self.handed.swap_remove(index).listener);
        }
        match self.bound.iter().position(|(bound, _)| *bound == address) {
            Some(index) => Ok(self.bound.swap_remove(index).1),
            None => TcpListener::bind(address).await,
        }
    }
}

/// How many sockets are meant for this process (sd_listen_fds(3)).
fn count_for(count: Option<&str>, pid: Option<&str>, own: u32) -> Result<usize, SocketsError> {
    let (Some(count), Some(pid)) = (count, pid) else { return Ok(0) };
    if pid.parse() != Ok(own) {
        return Ok(0);
    }
    match count.parse() {
        Ok(number @ 0..=MOST) => Ok(number),
        _ => Err(SocketsError::Count(count.escape_debug().to_string())),
    }
}

/// The names of so many sockets: none unless there is one for each.
fn names(names: Option<&str>, count: usize) -> Vec<Option<String>> {
    let found: Vec<_> = names.iter().flat_map(|names| names.split(':')).collect();
    if found.len() == count {
        // So systemd calls a socket that nobody gave a name.
        let is_name = |name: &&str| !matches!(*name, "" | "unknown");
        found.into_iter().map(|name| Some(name).filter(is_name).map(str::to_owned)).collect()
    } else {
        vec![None; count]
    }
}

fn take(sockets: &mut ListenFd, index: usize) -> io::Result<(StdListener, SocketAddr)> {
    let listener =
        sockets.take_tcp_listener(index)?.ok_or_else(|| io::Error::other("it was taken before"))?;
    let socket = SockRef::from(&listener);
    if !socket.is_listener()? {
        return Err(io::Error::other("it does not listen"));
    }
    if !matches!(socket.protocol()?, Some(Protocol::TCP | Protocol::MPTCP)) {
        return Err(io::Error::other("its protocol is not TCP"));
    }
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Returns what to do about an address that cannot be bound.
#[must_use]
pub fn remedy(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "ports below 1024 are privileged: `setcap cap_net_bind_service=+ep \"$(command -v \
             sesgate)\"`, `AmbientCapabilities=CAP_NET_BIND_SERVICE` in a systemd unit, or a port \
             such as {}",
            if address.port() == 465 { 2465 } else { 2587 },
        ),
        io::ErrorKind::AddrNotAvailable => {
            "this host has no such address: see `ip -brief address`".to_owned()
        }
        _ => format!("`ss -ltnp 'sport = :{}'` shows who has it", address.port()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpStream, UdpSocket};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixListener;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn sockets_are_for_the_process_that_is_named() {
        for (count, pid, expected) in [
            (Some("2"), Some("7"), Some(2)),
            (Some("0"), Some("7"), Some(0)),
            (Some("256"), Some("7"), Some(256)),
            (Some("2"), Some("8"), Some(0)),
            (Some("2"), Some(""), Some(0)),
            (Some("2"), None, Some(0)),
            (None, Some("7"), Some(0)),
            (None, None, Some(0)),
            (Some("x"), Some("8"), Some(0)),
            (Some("x"), Some("7"), None),
            (Some(""), Some("7"), None),
            (Some("-1"), Some("7"), None),
            (Some("257"), Some("7"), None),
            (Some("99999999999999999999"), Some("7"), None),
        ] {
            assert_eq!(count_for(count, pid, 7).ok(), expected, "{count:?} {pid:?}");
        }
    }

    #[test]
    fn names_are_there_for_each_or_for_none() {
        let texts = |text, count| {
            let labels = names(text, count).into_iter().enumerate();
            let labels = labels.map(|(index, name)| Label { number: index + 1, name });
            labels.map(|label| label.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(texts(Some("smtp:tls"), 2), ["socket 1 (`smtp`)", "socket 2 (`tls`)"]);
        assert_eq!(texts(Some("unknown:"), 2), ["socket 1", "socket 2"]);
        assert_eq!(texts(Some("smtp"), 2), ["socket 1", "socket 2"]);
        assert_eq!(texts(Some("a\nb"), 1), ["socket 1 (`a\\nb`)"]);
        assert_eq!(texts(None, 1), ["socket 1"]);
    }

    fn handed(addresses: &[&str]) -> Sockets {
        let handed = addresses.iter().enumerate().map(|(index, address)| Handed {
            label: Label { number: index + 1, name: None },
            address: address.parse().unwrap(),
            // Which one it is does not matter to the check.
            listener: StdListener::bind("127.0.0.1:0").unwrap(),
        });
        Sockets { handed: handed.collect(), bound: Vec::new() }
    }

    #[test]
    fn a_socket_belongs_to_its_very_address() {
        let not_wanted = |address, what| {
            format!(
                "socket 1 from systemd listens on {address}, which is not an `address` of the \
                 configuration; {what}"
            )
        };
        for (sockets, wanted, expected) in [
            (&["127.0.0.1:2525"][..], &["127.0.0.1:2525", "127.0.0.1:2465"][..], vec![]),
            (&["[::]:2525", "0.0.0.0:2525"], &["0.0.0.0:2525", "[::]:2525"], vec![]),
            (&[], &["127.0.0.1:2525"], vec![]),
            (
                &["[::]:2525"],
                &["127.0.0.1:2465", "0.0.0.0:2525"],
                vec![not_wanted(
                    "[::]:2525",
                    "write `ListenStream=0.0.0.0:2525`, or change `0.0.0.0:2525` there",
                )],
            ),
            (
                &["127.0.0.1:25"],
                &["127.0.0.1:0"],
                vec![not_wanted(
                    "127.0.0.1:25",
                    "add a listener for it, or take it out of the socket unit",
                )],
            ),
            (
                &["127.0.0.1:25", "127.0.0.1:25"],
                &["127.0.0.1:25"],
                vec![
                    "socket 2 from systemd listens on 127.0.0.1:25 as one before it does; remove \
                     one of the two"
                        .to_owned(),
                ],
            ),
        ] {
            let wanted: Vec<_> = wanted.iter().map(|it| it.parse().unwrap()).collect();
            let errors = handed(sockets).check(&wanted).err().unwrap_or_default();
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(errors, expected, "{sockets:?} for {wanted:?}");
        }
    }

    /// What the process does that [`start`] starts: it answers one client of each address.
    #[test]
    #[ignore = "the other tests start it as a process of its own"]
    fn process() {
        let wanted = env::var("WANTED").unwrap();
        let wanted: Vec<SocketAddr> = wanted.split(',').map(|it| it.parse().unwrap()).collect();
        let checked = Sockets::from_environment()
            .and_then(|sockets| sockets.check(&wanted).map(|()| sockets));
        let mut sockets = match checked {
            Ok(sockets) => sockets,
            Err(errors) => {
                errors.iter().for_each(|error| println!("\n> {error}"));
                return;
            }
        };
        assert!(env::var_os("LISTEN_FDS").is_none() && env::var_os("LISTEN_PID").is_none());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            for address in wanted {
                let listener = sockets.listen(address).await.unwrap();
                println!("\n> listening on {}", listener.local_addr().unwrap());
                let (client, _) = listener.accept().await.unwrap();
                let mut client = client.into_std().unwrap();
                client.set_nonblocking(false).unwrap();
                client.write_all(address.to_string().as_bytes()).unwrap();
            }
        });
    }

    /// A process that is handed these two descriptors.
    fn start(first: OwnedFd, second: OwnedFd, wanted: &str) -> std::process::Child {
        let script = "exec 3<&0 4<&1 1>&2 </dev/null; \
                      export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=smtp:tls; exec \"$@\"";
        Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(env::current_exe().unwrap())
            .args(["--exact", "sockets::tests::process", "--ignored", "--nocapture"])
            .env("WANTED", wanted)
            .stdin(Stdio::from(first))
            .stdout(Stdio::from(second))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// The lines that the process wrote for us.
    fn lines(process: std::process::Child) -> Vec<String> {
        let output = process.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        text.lines().filter_map(|line| line.strip_prefix("> ")).map(str::to_owned).collect()
    }

    fn heard(mut client: TcpStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn clients_that_came_before_the_process_are_served() {
        let listeners = ["127.0.0.1:0", "[::1]:0"].map(|it| StdListener::bind(it).unwrap());
        let [first, second] = listeners.each_ref().map(|it| it.local_addr().unwrap());
        let early = TcpStream::connect(first).unwrap();
        let other = TcpStream::connect(second).unwrap();
        let [smtp, tls] = listeners.map(OwnedFd::from);
        // In another order than they were handed over.
        let process = start(smtp, tls, &format!("{second},{first}"));
        assert_eq!(heard(early), first.to_string());
        assert_eq!(heard(other), second.to_string());
        assert_eq!(
            lines(process),
            [format!("listening on {second}"), format!("listening on {first}")]
        );
    }

    #[test]
    fn what_is_no_listener_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let datagram = UdpSocket::bind("127.0.0.1:0").unwrap();
        let unix = UnixListener::bind(folder.path().join("socket")).unwrap();
        let file = tempfile::tempfile().unwrap();
        let needs = "; the socket unit needs `ListenStream=` with an IP address and a port, and \
                     `Accept=no`";
        let problem = |label: &str, what: &str| {
            format!("{label} from systemd is no TCP listener: {what}{needs}")
        };
        let process = start(client.into(), datagram.into(), &address.to_string());
        assert_eq!(
            lines(process),
            [
                problem("socket 1 (`smtp`)", "it does not listen"),
                problem("socket 2 (`tls`)", "fd 4 is not a valid tcp socket"),
            ]
        );
        let process = start(unix.into(), file.into(), &address.to_string());
        assert_eq!(
            lines(process),
            [
                problem("socket 1 (`smtp`)", "fd 3 is not a valid tcp socket"),
                problem("socket 2 (`tls`)", "fd 4 is not a socket"),
            ]
        );
    }
}
