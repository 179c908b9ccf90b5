//! Classes of quality of service: annotations give a container a class, files on the host say what the class gets.
//!
//! | class     | annotation of the container           | of its pod                                                     | becomes |
//! |-----------|---------------------------------------|----------------------------------------------------------------|---------|
//! | block I/O | `io.kubernetes.cri.blockio-class`     | `blockio.resources.beta.kubernetes.io/container.NAME`, `…/pod` | `linux.resources.blockIO` |
//! | RDT       | `io.kubernetes.cri.rdt-class`         | `rdt.resources.beta.kubernetes.io/container.NAME`, `…/pod`     | `linux.intelRdt.closID` |
//!
//! The first that is there counts. The names and the files' formats are goresctrl's, as containerd has them.

mod blockio;
mod rdt;

use std::collections::HashMap;

use oci_spec::runtime::{LinuxBlockIo, LinuxIntelRdt, LinuxResources, Spec};

use crate::config;
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::wire::v1::{ContainerConfig, PodSandboxConfig};

/// The classes of this host.
pub(crate) struct Qos {
    blockio: Option<blockio::Classes>,
    ignore_blockio_off: bool,
    rdt: Option<rdt::Classes>,
    ignore_rdt_off: bool,
}

/// Who gave a container its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The container's own annotation, which the kubelet writes.
    Container,
    /// The pod's, for this container.
    PodForContainer,
    /// The pod's, for all of its containers.
    Pod,
}

impl Qos {
    /// Reads the files. One that cannot be read or makes no sense is an error; resctrl that is not mounted turns RDT off.
    pub(crate) fn read(config: &config::Qos) -> Result<Self> {
        let blockio = config.blockio_file.as_deref().map(|file| {
            let attempted = || format!("read the classes of block I/O {}", file.display());
            let text = std::fs::read_to_string(file).attempt(attempted)?;
            blockio::Classes::parse(&text).map_err(|why| Error::caused(Kind::Invalid, attempted(), why))
        });
        let rdt = config.rdt_file.as_deref().map(|file| {
            let attempted = || format!("read the classes of RDT {}", file.display());
            let text = std::fs::read_to_string(file).attempt(attempted)?;
            rdt::Classes::parse(&text).map_err(|why| Error::caused(Kind::Invalid, attempted(), why))
        });
        let rdt = rdt.transpose()?.filter(|_| {
            let mounted = rdt::is_mounted();
            if !mounted {
                tracing::warn!("resctrl is not mounted: classes of RDT are off");
            }
            mounted
        });
        Ok(Self {
            blockio: blockio.transpose()?,
            ignore_blockio_off: config.ignore_blockio_off,
            rdt,
            ignore_rdt_off: config.ignore_rdt_off,
        })
    }

    /// Gives a container what its classes get. Looks at the block devices of the host.
    pub(crate) fn apply(
        &self,
        spec: &mut Spec,
        container: &ContainerConfig,
        pod: &PodSandboxConfig,
    ) -> Result<()> {
        const WHO: &str = "an annotation";
        if let Some((class, _)) = asked("blockio", container, pod) {
            self.give_blockio(spec, class, WHO)?;
        }
        if let Some((class, origin)) = asked("rdt", container, pod) {
            self.give_rdt(spec, class, origin, WHO)?;
        }
        Ok(())
    }

    /// The same for classes that an NRI plugin wants; an empty one takes away what the container has.
    pub(crate) fn apply_wanted(
        &self,
        spec: &mut Spec,
        blockio: Option<&str>,
        rdt: Option<&str>,
    ) -> Result<()> {
        const WHO: &str = "an NRI plugin";
        match blockio {
            None => {}
            Some("") => set_blockio(spec, None),
            Some(class) => self.give_blockio(spec, class, WHO)?,
        }
        match rdt {
            None => Ok(()),
            Some("") => {
                set_rdt(spec, None);
                Ok(())
            }
            Some(class) => self.give_rdt(spec, class, Origin::Container, WHO),
        }
    }

    fn give_blockio(&self, spec: &mut Spec, class: &str, who: &str) -> Result<()> {
        match &self.blockio {
            Some(classes) => set_blockio(spec, Some(classes.parameters(class)?)),
            None if self.ignore_blockio_off => {
                tracing::debug!(class, "classes of block I/O are off; the container is made without");
            }
            None => return Err(off(who, "block I/O", class, "qos.blockio_file")),
        }
        Ok(())
    }

    fn give_rdt(&self, spec: &mut Spec, class: &str, origin: Origin, who: &str) -> Result<()> {
        match &self.rdt {
            Some(classes) => set_rdt(spec, classes.class(class, origin)?),
            None if self.ignore_rdt_off => {
                tracing::debug!(class, "classes of RDT are off; the container is made without");
            }
            None => return Err(off(who, "RDT", class, "qos.rdt_file")),
        }
        Ok(())
    }
}

fn set_blockio(spec: &mut Spec, parameters: Option<LinuxBlockIo>) {
    if let Some(linux) = spec.linux_mut() {
        linux.resources_mut().get_or_insert_with(LinuxResources::default).set_block_io(parameters);
    }
}

fn set_rdt(spec: &mut Spec, rdt: Option<LinuxIntelRdt>) {
    if let Some(linux) = spec.linux_mut() {
        linux.set_intel_rdt(rdt);
    }
}

fn off(who: &str, what: &str, class: &str, key: &str) -> Error {
    Error::invalid(format!("{who} asks for the class {class:?} of {what}, and these are off; see {key}"))
}

/// The class that annotations give a container, and which of them.
fn asked<'a>(
    resource: &str,
    container: &'a ContainerConfig,
    pod: &'a PodSandboxConfig,
) -> Option<(&'a str, Origin)> {
    let name = container.metadata.as_ref().map(|metadata| metadata.name.as_str()).unwrap_or_default();
    let of =
        |annotations: &'a HashMap<String, String>, key: String| annotations.get(&key).map(String::as_str);
    let prefix = format!("{resource}.resources.beta.kubernetes.io");
    let places = [
        (of(&container.annotations, format!("io.kubernetes.cri.{resource}-class")), Origin::Container),
        (of(&pod.annotations, format!("{prefix}/container.{name}")), Origin::PodForContainer),
        (of(&pod.annotations, format!("{prefix}/pod")), Origin::Pod),
    ];
    places.into_iter().find_map(|(class, origin)| Some((class.filter(|class| !class.is_empty())?, origin)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v1::ContainerMetadata;

    fn annotated(container: &[(&str, &str)], pod: &[(&str, &str)]) -> (ContainerConfig, PodSandboxConfig) {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let metadata = Some(ContainerMetadata { name: "web".to_owned(), attempt: 0 });
        (
            ContainerConfig { metadata, annotations: map(container), ..Default::default() },
            PodSandboxConfig { annotations: map(pod), ..Default::default() },
        )
    }

    const POD: (&str, &str) = ("rdt.resources.beta.kubernetes.io/pod", "of-pod");
    const WEB: (&str, &str) = ("rdt.resources.beta.kubernetes.io/container.web", "of-web");

    #[test]
    fn the_nearest_annotation_counts() {
        let class = |container: &[(&str, &str)], pod: &[(&str, &str)]| {
            let (container, pod) = annotated(container, pod);
            asked("rdt", &container, &pod).map(|(class, origin)| (class.to_owned(), origin))
        };
        assert_eq!(class(&[], &[]), None);
        assert_eq!(class(&[], &[POD]), Some(("of-pod".to_owned(), Origin::Pod)));
        assert_eq!(class(&[], &[POD, WEB]), Some(("of-web".to_owned(), Origin::PodForContainer)));
        let own = ("io.kubernetes.cri.rdt-class", "own");
        assert_eq!(class(&[own], &[POD, WEB]), Some(("own".to_owned(), Origin::Container)));
    }

    #[test]
    fn a_class_while_classes_are_off_is_refused_by_name_unless_that_is_to_be_ignored() {
        let (container, pod) = annotated(&[], &[POD, ("blockio.resources.beta.kubernetes.io/pod", "slow")]);
        let off = config::Qos::default();
        let mut spec = Spec::default();
        let error = Qos::read(&off).unwrap().apply(&mut spec, &container, &pod).unwrap_err().to_string();
        assert_eq!(
            error,
            "an annotation asks for the class \"slow\" of block I/O, and these are off; see qos.blockio_file"
        );
        let blockio_ignored = config::Qos { ignore_blockio_off: true, ..off };
        let error = Qos::read(&blockio_ignored).unwrap().apply(&mut spec, &container, &pod).unwrap_err();
        assert!(error.to_string().contains("\"of-pod\" of RDT"), "{error}");
        let ignored = config::Qos { ignore_rdt_off: true, ..blockio_ignored };
        Qos::read(&ignored).unwrap().apply(&mut spec, &container, &pod).unwrap();
        assert_eq!(spec, Spec::default());
    }

    #[test]
    fn a_file_of_classes_that_is_broken_or_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("classes.yaml");
        let blockio = config::Qos { blockio_file: Some(file.clone()), ..Default::default() };
        let rdt = config::Qos { rdt_file: Some(file.clone()), ..Default::default() };
        for config in [&blockio, &rdt] {
            let _ = std::fs::remove_file(&file);
            let read = |config| crate::error::chain(&Qos::read(config).err().unwrap());
            assert!(read(config).contains("classes.yaml"));
            std::fs::write(&file, "partitions: 5\nClasses: 5\n").unwrap();
            assert!(read(config).contains("classes.yaml"));
        }
    }
}
