//! Kills a process at any moment while it pulls and removes, and looks at what it left.

use crate::content::small;
use crate::server::Server;
use crate::{Host, is_root};
use images::{Config, Images, Network, Reference};
use snapshots::Snapshotter;
use snapshots::overlay::Overlay;
use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const FOLDER: &str = "IMAGES_TEST_FOLDER";
const NAMES: &str = "IMAGES_TEST_NAMES";
const ROUNDS: u64 = 30;

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_process_is_killed_images_are_whole_or_gone() {
    let Some(mut host) = Host::with(|config| config.discard_unpacked_layers = false) else { return };
    let server = Server::start().await;
    let mut names = Vec::new();
    for n in 0..4 {
        server.has("a", &n.to_string(), &small(&n.to_string()));
        names.push(server.name(&format!("a:{n}")));
    }
    let mut seen = 0;
    for round in 0..ROUNDS {
        // Nobody else may have the folder open.
        let Host { folder, config, images, snapshotter } = host;
        drop((images, snapshotter));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::pulls_and_removes", "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(NAMES, names.join(" "))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let begun = tokio::task::spawn_blocking(move || {
            lines.map_while(Result::ok).any(|line| line.contains("begins"))
        });
        assert!(begun.await.unwrap());
        // Not waiting for anything: the moment is what the test is about.
        tokio::time::sleep(Duration::from_micros(round * 2_700)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let snapshotter: Arc<dyn Snapshotter> =
            Arc::new(Overlay::open(&folder.path().join("snapshots")).unwrap());
        let images = Images::open(config.clone(), Arc::clone(&snapshotter)).unwrap();
        host = Host { folder, config, images, snapshotter };
        for image in host.images.list() {
            seen += 1;
            assert_eq!(host.read(&image, "hello").as_deref(), Some("hello"));
            assert!(image.layers.iter().all(|layer| host.snapshotter.has_layer(&layer.chain).unwrap()));
            host.images.export(&[image.id.as_str()], &mut Vec::new()).unwrap();
        }
        // All layers and copies are of images.
        assert_eq!(host.images.collect().unwrap(), images::Collected::default());
        let layers = host.images.list().iter().flat_map(|image| image.layers.clone()).count();
        assert!(host.layers() <= layers);
    }
    assert!(seen > 0, "no image ever came to be: the kills come too early to show anything");
    for image in host.images.list() {
        host.images.remove(image.id.as_str()).unwrap();
    }
    host.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by another test, and killed: whenever_the_process_is_killed_images_are_whole_or_gone"]
async fn pulls_and_removes() {
    assert!(is_root());
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let names = std::env::var(NAMES).unwrap();
    let mut config = Config::new(folder.join("images"));
    config.network = Network { registry_config_dirs: Vec::new(), ..Network::default() };
    config.discard_unpacked_layers = false;
    let snapshotter: Arc<dyn Snapshotter> = Arc::new(Overlay::open(&folder.join("snapshots")).unwrap());
    let images = Images::open(config, snapshotter).unwrap();
    println!("begins");
    loop {
        for name in names.split(' ') {
            images.pull(&Reference::parse(name).unwrap(), None, &|_| ()).await.unwrap();
        }
        for name in names.split(' ').skip(1) {
            images.remove(name).unwrap();
        }
    }
}
