//! Real plugins in real namespaces.

use crate::{Place, Story, wait};
use network::{Attachment, Bandwidth, Cni, Config, IpPreference, Kind, PortMapping, Protocol, netns};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) fn stories() -> Vec<Story> {
    let story = |name, tell| Story { name, place: Place::Namespaces, tell };
    vec![
        story("a_namespace_is_made_pinned_and_removed", pinned),
        story("a_namespace_made_by_others_is_pinned", pinned_for_others),
        story("a_pod_is_on_the_network_until_it_is_not", on_the_network),
        story("a_forwarded_port_reaches_the_pod", forwarded_port),
        story("ipv6_can_be_the_primary_address", primary_address),
        story("what_a_lost_pod_reserved_is_collected", collected),
        story("ten_pods_at_once_have_ten_addresses", ten_at_once),
    ]
}

/// The folder with the plugins that this machine or a tree has.
pub(crate) fn plugins() -> Option<PathBuf> {
    let given = std::env::var_os("COFFERDAM_CNI").map(PathBuf::from);
    let tree = std::env::var_os("COFFERDAM_TREE").map(|tree| Path::new(&tree).join("usr/lib/cni"));
    let candidates = given.into_iter().chain(tree).chain(["/usr/lib/cni".into(), "/opt/cni/bin".into()]);
    candidates.into_iter().find(|folder| folder.join("bridge").exists())
}

/// Says why a story is skipped, if it is.
macro_rules! need {
    ($what:expr, $reason:literal) => {
        match $what {
            Some(there) => there,
            None => {
                println!("skipped: {}", $reason);
                return;
            }
        }
    };
}

/// A node with one network.
pub(crate) struct Node {
    pub(crate) root: TempDir,
    pub(crate) config: Config,
}

impl Node {
    pub(crate) fn new(plugins: PathBuf) -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir(path("net.d")).unwrap();
        let config = Config {
            conf_dirs: vec![path("net.d")],
            bin_dirs: vec![plugins],
            cache_dir: path("cache"),
            timeout: Duration::from_secs(60),
            ..Config::default()
        };
        assert!(ip("link set lo up"));
        Self { root, config }
    }

    fn ipam(&self) -> PathBuf {
        self.root.path().join("ipam")
    }

    pub(crate) fn configure(&self, version: &str, more: &[Value]) {
        let mut plugins = vec![json!({
            "type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
            "ipam": {
                "type": "host-local", "dataDir": self.ipam(),
                "ranges": [[{"subnet": "fd00:77::/64"}], [{"subnet": "10.77.0.0/24"}]],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
            }
        })];
        plugins.extend_from_slice(more);
        let list = json!({"cniVersion": version, "name": "pods", "plugins": plugins});
        fs::write(self.root.path().join("net.d/10.conflist"), list.to_string()).unwrap();
    }

    pub(crate) fn cni(&self) -> Cni {
        Cni::new(self.config.clone())
    }

    /// A pod with a namespace.
    pub(crate) fn pod(&self, id: &str) -> Attachment {
        let path = self.root.path().join("netns").join(id);
        netns::create(&path).unwrap();
        Attachment { id: id.to_owned(), netns: path, name: id.to_owned(), ..Attachment::default() }
    }

    fn leases(&self) -> Vec<String> {
        let names = fs::read_dir(self.ipam().join("pods")).into_iter().flatten();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut leases: Vec<String> = names.filter(|name| name.starts_with(['1', 'f'])).collect();
        leases.sort();
        leases
    }
}

fn ip(words: &str) -> bool {
    Command::new("ip").args(words.split(' ')).status().unwrap().success()
}

/// What `ip` says in a namespace.
fn ip_in(path: &Path, words: &str) -> String {
    let run = || Command::new("ip").args(words.split(' ')).output().unwrap();
    String::from_utf8(netns::within(path, run).unwrap().stdout).unwrap()
}

fn has_ip() -> Option<()> {
    Command::new("ip").arg("-V").output().ok().map(drop)
}

fn pinned() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("netns/a");
    let own = fs::read_link("/proc/thread-self/ns/net").unwrap();
    netns::create(&path).unwrap();
    assert!(netns::is_pinned(&path).unwrap());
    assert_eq!(fs::read_link("/proc/thread-self/ns/net").unwrap(), own, "we stay where we were");
    let other = netns::within(&path, || fs::read_link("/proc/thread-self/ns/net").unwrap()).unwrap();
    assert_ne!(other, own);
    // A packet of its own comes back.
    netns::within(&path, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    })
    .unwrap();
    assert!(matches!(netns::create(&path), Err(netns::NetnsError::Exists(_))));
    assert!(netns::is_pinned(&path).unwrap(), "it is as it was");

    // Somebody who is in it, and a second mount over the first, do not keep it.
    let held = netns::open_namespace(&path).unwrap();
    assert!(
        Command::new("mount").args(["--bind", "/proc/self/ns/net"]).arg(&path).status().unwrap().success()
    );
    netns::remove(&path).unwrap();
    assert!(!path.exists());
    netns::remove(&path).unwrap();
    drop(held);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("netns/a"), "{mounts}");

    // A namespace of another kind is none of ours.
    fs::write(&path, "").unwrap();
    assert!(
        Command::new("mount").args(["--bind", "/proc/self/ns/uts"]).arg(&path).status().unwrap().success()
    );
    assert!(!netns::is_pinned(&path).unwrap());
    netns::remove(&path).unwrap();
}

fn pinned_for_others() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a");
    // Owned by a user namespace, as a pod with user namespaces has it.
    let mut holder = Command::new("unshare");
    holder.args(["--user", "--map-root-user", "--net", "sh", "-c", "echo made; read end"]);
    let mut holder =
        holder.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut made = [0; 5];
    if holder.stdout.take().unwrap().read_exact(&mut made).is_err() {
        holder.wait().unwrap();
        println!("skipped: user namespaces are not to be had here");
        return;
    }
    let namespace = fs::File::open(format!("/proc/{}/ns/net", holder.id())).unwrap();
    netns::pin(namespace.as_fd(), &path).unwrap();
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert!(netns::is_pinned(&path).unwrap(), "it outlives the process");
    assert!(ip_in(&path, "link show lo").contains("UP"));
    netns::remove(&path).unwrap();
}

fn on_the_network() {
    let plugins = need!(plugins(), "the plugins of containernetworking-plugins are not installed");
    need!(has_ip(), "iproute2 is not installed");
    let node = Node::new(plugins);
    let more = [
        json!({"type": "tuning", "capabilities": {"mac": true}, "sysctl": {"net.core.somaxconn": "500"}}),
        json!({"type": "bandwidth", "capabilities": {"bandwidth": true}}),
    ];
    node.configure("1.0.0", &more);
    let cni = node.cni();
    wait(cni.status()).unwrap();
    let limits = BTreeMap::from([(network::INGRESS_ANNOTATION.to_owned(), "8M".to_owned())]);
    let pod = Attachment {
        mac: Some("02:00:00:00:00:77".to_owned()),
        bandwidth: Bandwidth::of_annotations(&limits).unwrap(),
        ..node.pod("p1")
    };
    let attached = wait(cni.add(&pod)).unwrap();
    let ips: Vec<String> = attached.ips.iter().map(ToString::to_string).collect();
    assert_eq!(ips, ["10.77.0.2", "fd00:77::2"], "IPv4 first, though the range stands last");
    let shown = ip_in(&pod.netns, "address show eth0");
    assert!(shown.contains("inet 10.77.0.2/24") && shown.contains("02:00:00:00:00:77"), "{shown}");
    assert!(ip_in(&pod.netns, "route").contains("default via 10.77.0.1"));
    let somaxconn = netns::within(&pod.netns, || fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap());
    assert_eq!(somaxconn.unwrap().trim(), "500");
    if let Ok(shaped) = Command::new("tc").args(["qdisc", "show"]).output() {
        assert!(String::from_utf8_lossy(&shaped.stdout).contains("rate 8Mbit"));
    }
    assert_eq!(node.leases(), ["10.77.0.2", "fd00:77::2"]);
    // What the second plugin changed is in the result of the whole.
    let result = &attached.networks[0].result;
    assert!(result.interfaces.iter().any(|made| made.name == "eth0" && made.mac == "02:00:00:00:00:77"));

    // After a restart.
    let cni = node.cni();
    assert_eq!(wait(cni.attached("p1")).unwrap(), Some(attached));
    wait(cni.check("p1")).unwrap();
    netns::within(&pod.netns, || assert!(ip("address del 10.77.0.2/24 dev eth0"))).unwrap();
    assert_eq!(wait(cni.check("p1")).unwrap_err().kind(), Kind::Failed);

    wait(cni.del(&pod)).unwrap();
    assert!(!ip_in(&pod.netns, "link").contains("eth0"));
    assert_eq!(node.leases(), [] as [&str; 0]);
    wait(cni.del(&pod)).unwrap();
    netns::remove(&pod.netns).unwrap();
    wait(cni.del(&pod)).unwrap();

    // A namespace that is gone before its attachment keeps nothing either.
    let pod = node.pod("p2");
    wait(cni.add(&pod)).unwrap();
    netns::remove(&pod.netns).unwrap();
    wait(cni.del(&pod)).unwrap();
    assert_eq!(node.leases(), [] as [&str; 0]);

    // A plugin that refuses leaves nothing of the one before it.
    node.configure("1.0.0", &[json!({"type": "tuning", "sysctl": {"kernel.hostname": "x"}})]);
    let pod = node.pod("p3");
    let error = wait(cni.add(&pod)).unwrap_err();
    assert_eq!(error.kind(), Kind::Failed, "{error}");
    assert_eq!(node.leases(), [] as [&str; 0]);
    assert!(!ip_in(&pod.netns, "link").contains("eth0"));
    netns::remove(&pod.netns).unwrap();
}

fn forwarded_port() {
    let plugins = need!(plugins(), "the plugins of containernetworking-plugins are not installed");
    need!(has_ip(), "iproute2 is not installed");
    need!(Command::new("iptables").arg("-V").output().ok(), "iptables is not installed");
    if !Command::new("iptables").args(["-t", "nat", "-L"]).output().unwrap().status.success() {
        println!("skipped: the kernel has no NAT");
        return;
    }
    let node = Node::new(plugins);
    node.configure(
        "1.0.0",
        &[json!({"type": "portmap", "snat": true, "capabilities": {"portMappings": true}})],
    );
    let host: IpAddr = "198.18.0.1".parse().unwrap();
    assert!(ip("link add node0 type veth peer name node1") && ip("address add 198.18.0.1/24 dev node0"));
    assert!(ip("link set node0 up") && ip("link set node1 up"));
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    let mapping =
        PortMapping { host_port: 8080, container_port: 80, protocol: Protocol::Tcp, host_ip: String::new() };
    let pod = Attachment { port_mappings: vec![mapping], ..node.pod("p1") };
    wait(node.cni().add(&pod)).unwrap();
    let listener = netns::within(&pod.netns, || TcpListener::bind("0.0.0.0:80").unwrap()).unwrap();
    let server = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"from the pod").unwrap());
    let mut answer = String::new();
    let mut client =
        TcpStream::connect_timeout(&SocketAddr::new(host, 8080), Duration::from_secs(10)).unwrap();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "from the pod");
    server.join().unwrap();
    let rules = || String::from_utf8(Command::new("iptables-save").output().unwrap().stdout).unwrap();
    assert!(rules().contains("8080"));
    wait(node.cni().del(&pod)).unwrap();
    assert!(!rules().contains("8080"), "{}", rules());
    assert!(TcpStream::connect_timeout(&SocketAddr::new(host, 8080), Duration::from_secs(5)).is_err());
    netns::remove(&pod.netns).unwrap();
}

fn primary_address() {
    let plugins = need!(plugins(), "the plugins of containernetworking-plugins are not installed");
    let mut node = Node::new(plugins);
    for (version, preference, first) in [
        ("0.3.1", IpPreference::Ipv6, "fd00:77::2"),
        ("0.4.0", IpPreference::Ipv4, "10.77.0.3"),
        ("1.0.0", IpPreference::Cni, "fd00:77::4"),
    ] {
        node.config.ip_preference = preference;
        node.configure(version, &[]);
        let pod = node.pod(&format!("p-{version}"));
        let attached = wait(node.cni().add(&pod)).unwrap();
        assert_eq!(attached.ips[0].to_string(), first);
        assert_eq!(attached.ips.len(), 2);
    }
    for version in ["0.3.1", "0.4.0", "1.0.0"] {
        let id = format!("p-{version}");
        let netns = node.root.path().join("netns").join(&id);
        wait(node.cni().del(&Attachment { id, netns: netns.clone(), ..Attachment::default() })).unwrap();
        netns::remove(&netns).unwrap();
    }
    assert_eq!(node.leases(), [] as [&str; 0]);
}

fn collected() {
    let plugins = need!(plugins(), "the plugins of containernetworking-plugins are not installed");
    let node = Node::new(plugins);
    node.configure("1.1.0", &[]);
    let cni = node.cni();
    if wait(cni.status()).is_err() {
        println!("skipped: these plugins do not speak version 1.1.0");
        return;
    }
    let (kept, lost) = (node.pod("kept"), node.pod("lost"));
    wait(cni.add(&kept)).unwrap();
    wait(cni.add(&lost)).unwrap();
    netns::remove(&lost.netns).unwrap();
    wait(cni.gc(&["kept".to_owned()])).unwrap();
    assert_eq!(node.leases(), ["10.77.0.2", "fd00:77::2"]);
    wait(cni.check("kept")).unwrap();
    // As after a loss of power: neither record nor namespace, but the reservation.
    netns::remove(&kept.netns).unwrap();
    fs::remove_dir_all(node.root.path().join("cache")).unwrap();
    wait(node.cni().del(&kept)).unwrap();
    assert_eq!(node.leases(), [] as [&str; 0]);
}

fn ten_at_once() {
    let plugins = need!(plugins(), "the plugins of containernetworking-plugins are not installed");
    let node = Node::new(plugins);
    node.configure("1.0.0", &[]);
    let cni = node.cni();
    let pods: Vec<Attachment> = (0..10).map(|n| node.pod(&format!("p{n}"))).collect();
    let mut ips = wait(async {
        let all: Vec<_> = pods
            .iter()
            .map(|pod| {
                let (cni, pod) = (cni.clone(), pod.clone());
                tokio::spawn(async move { cni.add(&pod).await.unwrap().ips })
            })
            .collect();
        let mut ips = Vec::new();
        for one in all {
            ips.extend(one.await.unwrap());
        }
        ips
    });
    ips.sort();
    ips.dedup();
    assert_eq!(ips.len(), 20);
    wait(cni.gc(&[])).unwrap();
    assert_eq!(node.leases(), [] as [&str; 0]);
    for pod in pods {
        netns::remove(&pod.netns).unwrap();
    }
}
