//! The pods' network, and what its plugins cost by themselves: the floor under every pod that has one.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use network::{Attachment, Cni, Config, netns};

use crate::figures::Figures;

/// Where the network's configuration lies.
pub(crate) const CONFIGURATION: &str = "/run/bench-cni";
/// Debian's plugins.
pub(crate) const FOLDER: &str = "/usr/lib/cni";

/// A bridge with addresses of both families, and ports.
const LIST: &str = r#"{
  "cniVersion": "1.0.0",
  "name": "bench",
  "plugins": [
    {
      "type": "bridge", "bridge": "bench0", "isGateway": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{ "subnet": "10.90.0.0/16" }], [{ "subnet": "fd00:90::/64" }]],
        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }]
      }
    },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}
"#;

/// Writes the configuration that all daemons read.
pub(crate) fn configure() -> Result<()> {
    let file = Path::new(CONFIGURATION).join("10-bench.conflist");
    fs::create_dir_all(CONFIGURATION).with_context(|| format!("make {CONFIGURATION}"))?;
    fs::write(&file, LIST).with_context(|| format!("write {}", file.display()))
}

/// Times the plugins without a pod around them.
pub(crate) async fn measure(work: &Path, rounds: usize, figures: &mut Figures) -> Result<()> {
    let cni = Cni::new(Config {
        conf_dirs: vec![CONFIGURATION.into()],
        bin_dirs: vec![FOLDER.into()],
        cache_dir: work.join("cni-cache"),
        ..Config::default()
    });
    for round in 0..rounds {
        let id = format!("floor-{round}");
        let netns = work.join(&id);
        netns::create(&netns).context("make a network namespace")?;
        let attachment = Attachment {
            id: id.clone(),
            netns: netns.clone(),
            name: id,
            namespace: "bench".to_owned(),
            ..Attachment::default()
        };
        let begun = Instant::now();
        cni.add(&attachment).await.context("add a namespace to the network")?;
        figures.time("the plugins alone, added, ms", "floor", begun.elapsed());
        let begun = Instant::now();
        cni.del(&attachment).await.context("take a namespace from the network")?;
        figures.time("the plugins alone, deleted, ms", "floor", begun.elapsed());
        netns::remove(&netns).context("remove a network namespace")?;
    }
    Ok(())
}
