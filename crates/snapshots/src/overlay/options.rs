//! How layers and a writable folder are named to overlayfs: decides, and touches nothing.
//!
//! In `lowerdir`, `upperdir` and `workdir`, a backslash stands before each backslash, colon and comma that is part of a
//! path; whoever hands the paths to the kernel one by one takes it away again.

use crate::Mount;
use crate::draft::Attributes;
use crate::idmap::{IdMap, IdMaps};
use std::path::{Path, PathBuf};

/// The writable part of a root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writable<'a> {
    pub upper: &'a Path,
    pub work: &'a Path,
}

/// What the host's overlayfs is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flavour {
    pub attributes: Attributes,
    /// The kernel knows `volatile` (5.10), and the user wants it.
    pub volatile: bool,
    /// `metacopy=on`, because the user wants it.
    pub metacopy: bool,
}

/// A root of `layers`, top first. Without a writable part, `empty` makes up for what overlayfs wants at least two of;
/// a bind mount of a single layer would show its whiteouts as the devices that they are.
pub(super) fn mount(
    layers: &[PathBuf],
    empty: &Path,
    writable: Option<Writable<'_>>,
    id_map: Option<&IdMaps>,
    flavour: Flavour,
) -> Mount {
    let mut lower: Vec<String> = layers.iter().map(|layer| escaped(layer)).collect();
    if writable.is_none() && lower.len() < 2 {
        lower.push(escaped(empty));
    }
    let mut options = vec![format!("lowerdir={}", lower.join(":"))];
    match writable {
        Some(Writable { upper, work }) => {
            options.push(format!("upperdir={}", escaped(upper)));
            options.push(format!("workdir={}", escaped(work)));
            // An index serves hard links across copying up and NFS; it refuses to mount a writable folder while an
            // earlier mount of it is still coming down.
            options.push("index=off".to_owned());
            if flavour.volatile {
                options.push("volatile".to_owned());
            }
            if flavour.metacopy && flavour.attributes == Attributes::Trusted {
                options.push("metacopy=on".to_owned());
            }
        }
        None => options.push("ro".to_owned()),
    }
    if flavour.attributes == Attributes::User {
        options.push("userxattr".to_owned());
    }
    if let Some(IdMaps { uids, gids }) = id_map {
        let words = |word: &'static str, map: &[IdMap]| -> Vec<String> {
            map.iter().map(|m| format!("{word}={}:{}:{}", m.container, m.host, m.size)).collect()
        };
        options.extend(words("uidmap", uids));
        options.extend(words("gidmap", gids));
    }
    Mount { kind: "overlay".to_owned(), source: "overlay".to_owned(), target: String::new(), options }
}

/// One file of an image.
pub(super) fn bind(file: &Path) -> Mount {
    Mount {
        kind: "bind".to_owned(),
        source: file.to_string_lossy().into_owned(),
        target: String::new(),
        options: vec!["bind".to_owned(), "ro".to_owned()],
    }
}

fn escaped(path: &Path) -> String {
    let mut escaped = String::new();
    for c in path.to_string_lossy().chars() {
        if matches!(c, '\\' | ':' | ',') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAVOUR: Flavour = Flavour { attributes: Attributes::Trusted, volatile: true, metacopy: false };

    fn layers(count: usize) -> Vec<PathBuf> {
        // The numbers that layers get are in base 36.
        (0..count).map(|n| PathBuf::from(format!("/var/lib/cofferdam/layers/l/{n:02}"))).collect()
    }

    fn writable() -> Option<Writable<'static>> {
        Some(Writable { upper: Path::new("/v/s/1/u"), work: Path::new("/v/s/1/w") })
    }

    #[test]
    fn a_container_has_its_folder_on_top() {
        let mount = mount(&layers(2), Path::new("/v/e"), writable(), None, FLAVOUR);
        assert_eq!(
            mount.options.join(","),
            "lowerdir=/var/lib/cofferdam/layers/l/00:/var/lib/cofferdam/layers/l/01,upperdir=/v/s/1/u,workdir=/v/s/1/w,index=off,volatile"
        );
    }

    #[test]
    fn a_read_only_root_has_two_folders_at_least() {
        let one = mount(&layers(1), Path::new("/v/e"), None, None, FLAVOUR);
        assert_eq!(one.options.join(","), "lowerdir=/var/lib/cofferdam/layers/l/00:/v/e,ro");
        let two = mount(&layers(2), Path::new("/v/e"), None, None, FLAVOUR);
        assert!(!two.options[0].contains("/v/e"));
    }

    #[test]
    fn every_range_of_a_user_namespace_is_an_option() {
        let range = |container, host| IdMap { container, host, size: 10 };
        let maps = IdMaps { uids: vec![range(0, 100), range(10, 500)], gids: vec![range(0, 7)] };
        let flavour = Flavour { attributes: Attributes::User, volatile: false, metacopy: true };
        let mount = mount(&layers(1), Path::new("/v/e"), writable(), Some(&maps), flavour);
        assert_eq!(
            mount.options[3..].join(","),
            "index=off,userxattr,uidmap=0:100:10,uidmap=10:500:10,gidmap=0:7:10"
        );
    }

    /// A page less the final zero is what mount(2) takes; 127 layers is what Docker builds at most.
    #[test]
    fn the_deepest_image_fits_a_page() {
        let upper = Path::new("/var/lib/cofferdam/layers/s/zz/u");
        let work = Path::new("/var/lib/cofferdam/layers/s/zz/w");
        let mount = mount(&layers(127), Path::new("/e"), Some(Writable { upper, work }), None, FLAVOUR);
        assert!(mount.options.join(",").len() < 4_096, "{}", mount.options.join(",").len());
    }

    #[test]
    fn separators_in_paths_are_escaped() {
        let mount = mount(&[PathBuf::from("/a:b,c\\d")], Path::new("/e"), None, None, FLAVOUR);
        assert_eq!(mount.options[0], "lowerdir=/a\\:b\\,c\\\\d:/e");
    }
}
