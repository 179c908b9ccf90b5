//! Names and ids: what they stand for, and how they come and go. Pure: a [`State`] in, a [`State`] out.
//!
//! | after                          | `tags`    | `digests`                    |
//! |--------------------------------|-----------|------------------------------|
//! | pull `r:t`                     | `r:t`     | `r@…` of what `r:t` stood for |
//! | pull `r@sha256:…`              | –         | `r@sha256:…`                 |
//! | pull `r:t` again, it has moved | new image | the old image keeps `r@…`    |
//! | remove `r:t`                   | without   | without, unless pulled by it |
//!
//! An image whose last name is removed goes with it. Whatever was removed is not found any more.

use super::{ImageRecord, NameRecord, State, Stored, VERSION};
use crate::digest::Digest;
use crate::reference::Reference;

/// Whom a text means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// An image by its id, whole or the beginning of it.
    Id(Digest),
    /// A name.
    Name {
        image: Digest,
        reference: Reference,
    },
    /// Several ids begin so.
    Ambiguous,
    Nothing,
}

impl State {
    /// Whom `what` means: a name first, an id else.
    pub(crate) fn meant(&self, what: &str) -> Meant {
        if let Ok(reference) = Reference::parse(what)
            && let Some(image) = self.named(&reference)
        {
            return Meant::Name { image, reference };
        }
        let digits = what.strip_prefix("sha256:").unwrap_or(what);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Meant::Nothing;
        }
        let mut found = self.images.keys().filter(|id| id.digits().starts_with(digits));
        match (found.next(), found.next()) {
            (None, _) => Meant::Nothing,
            (Some(id), None) => Meant::Id(id.clone()),
            (Some(_), Some(_)) => Meant::Ambiguous,
        }
    }

    /// The image that a reference stands for: by the name itself, or by the digest of what one of the names of the
    /// repository stood for.
    fn named(&self, reference: &Reference) -> Option<Digest> {
        if let Some(name) = self.names.get(&reference.to_string()) {
            return Some(name.image.clone());
        }
        let digest = reference.digest()?;
        let of_digest = |name: &&NameRecord| name.documents.contains(digest) && name.image != *digest;
        let named = self.of_repository(reference).map(|(_, name)| name);
        named.filter(of_digest).map(|name| name.image.clone()).next()
    }

    fn of_repository<'a>(
        &'a self,
        reference: &Reference,
    ) -> impl Iterator<Item = (&'a String, &'a NameRecord)> {
        let name = reference.name();
        self.names.iter().filter(move |(text, _)| repository(text) == name)
    }

    /// The names of an image: with tags, and with digests.
    pub(crate) fn names_of(&self, id: &Digest) -> (Vec<String>, Vec<String>) {
        let (mut tags, mut digests) = (Vec::new(), Vec::new());
        for (text, name) in self.names.iter().filter(|(_, name)| name.image == *id) {
            if !text.contains('@') {
                tags.push(text.clone());
            }
            digests.push(format!("{}@{}", repository(text), name.target));
        }
        digests.sort();
        digests.dedup();
        (tags, digests)
    }

    /// Adds an image, or another name of it. A name that meant another image moves.
    pub(crate) fn add(&mut self, stored: Stored, name: Option<(&Reference, NameRecord)>) {
        let id = stored.record.id.clone();
        self.images.entry(id).or_insert(stored);
        let Some((reference, record)) = name else { return };
        let text = reference.to_string();
        let image = record.image.clone();
        let target = record.target.clone();
        if let Some(old) = self.names.insert(text, record)
            && (old.image != image || old.target != target)
            && !self.names.values().any(|name| name.image == old.image)
        {
            let by_digest = reference.with_digest(&old.target).to_string();
            self.names.insert(by_digest, old);
        }
    }

    /// Removes what `what` means; gives the image that went with its last name.
    pub(crate) fn remove(&mut self, what: &Meant) -> Option<ImageRecord> {
        let image = match what {
            Meant::Nothing | Meant::Ambiguous => return None,
            Meant::Id(id) => {
                self.names.retain(|_, name| name.image != *id);
                id.clone()
            }
            Meant::Name { image, reference } => {
                match reference.digest() {
                    None => {
                        self.names.remove(&reference.to_string());
                    }
                    Some(digest) => {
                        let name = reference.name();
                        self.names.retain(|text, record| {
                            repository(text) != name || !record.documents.contains(digest)
                        });
                    }
                }
                image.clone()
            }
        };
        if self.names.values().any(|name| name.image == image) {
            return None;
        }
        self.images.remove(&image).map(|stored| stored.record)
    }
}

impl NameRecord {
    pub(crate) fn new(image: Digest, target: Digest, documents: Vec<Digest>) -> Self {
        Self { version: VERSION, image, target, documents }
    }
}

/// A name without its tag or digest.
fn repository(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::empty_config;
    use std::sync::Arc;

    fn stored(id: &Digest) -> Stored {
        let record = ImageRecord {
            version: VERSION,
            id: id.clone(),
            manifest: Digest::of(b"m"),
            config: Some(id.clone()),
            size: 1,
            layers: Vec::new(),
            artifact_type: None,
            pinned: false,
            pulled: String::new(),
        };
        Stored { record, config: Arc::new(empty_config()) }
    }

    /// Image `n` under `name`, by an index of its own.
    fn pull(state: &mut State, n: &str, name: &str) -> Digest {
        let id = Digest::of(n.as_bytes());
        let index = Digest::of(format!("index {n}").as_bytes());
        let documents = vec![index.clone(), Digest::of(format!("manifest {n}").as_bytes()), id.clone()];
        let reference = Reference::parse(name).unwrap();
        state.add(stored(&id), Some((&reference, NameRecord::new(id.clone(), index, documents))));
        id
    }

    fn index(n: &str) -> String {
        Digest::of(format!("index {n}").as_bytes()).to_string()
    }

    fn find(state: &State, what: &str) -> Option<Digest> {
        match state.meant(what) {
            Meant::Id(id) | Meant::Name { image: id, .. } => Some(id),
            Meant::Ambiguous | Meant::Nothing => None,
        }
    }

    #[test]
    fn an_image_is_found_by_all_its_names() {
        let mut state = State::default();
        let id = pull(&mut state, "a", "q.io/a:1");
        pull(&mut state, "a", "q.io/a:2");
        pull(&mut state, "b", "q.io/b");
        let (tags, digests) = state.names_of(&id);
        assert_eq!(tags, ["q.io/a:1", "q.io/a:2"]);
        assert_eq!(digests, [format!("q.io/a@{}", index("a"))]);
        let manifest = format!("q.io/a@{}", Digest::of(b"manifest a"));
        let by_id = [id.to_string(), id.digits().to_owned(), id.digits()[..12].to_owned()];
        let names = ["q.io/a:1".to_owned(), "q.io/a:2".to_owned(), digests[0].clone(), manifest];
        for what in names.iter().chain(&by_id) {
            assert_eq!(find(&state, what), Some(id.clone()), "{what}");
        }
        for what in ["q.io/a", "q.io/a:3", "", "sha256:", "zz", &format!("q.io/a@{}", index("b"))] {
            assert_eq!(find(&state, what), None, "{what}");
        }
    }

    #[test]
    fn a_short_id_of_several_is_ambiguous_and_a_name_comes_first() {
        let mut state = State::default();
        for n in 0..17 {
            pull(&mut state, &n.to_string(), &format!("q.io/a:{n}"));
        }
        let many =
            (0..16).map(|digit| format!("{digit:x}")).find(|digit| state.meant(digit) == Meant::Ambiguous);
        let digit = many.unwrap();
        let id = pull(&mut state, "named", &digit);
        assert_eq!(find(&state, &digit), Some(id));
    }

    #[test]
    fn what_is_removed_is_not_found_and_the_last_name_takes_the_image() {
        let mut state = State::default();
        let id = pull(&mut state, "a", "q.io/a:1");
        pull(&mut state, "a", "q.io/a:2");
        pull(&mut state, "a", "r.io/a:1");
        assert_eq!(state.remove(&state.meant("q.io/a:1")), None);
        assert_eq!(find(&state, "q.io/a:1"), None);
        let by_digest = format!("q.io/a@{}", index("a"));
        assert_eq!(state.remove(&state.meant(&by_digest)), None);
        assert_eq!((find(&state, &by_digest), find(&state, "q.io/a:2")), (None, None));
        let gone = state.remove(&state.meant("r.io/a:1"));
        assert_eq!(gone.map(|record| record.id), Some(id));
        assert!(state.images.is_empty() && state.names.is_empty());
        let id = pull(&mut state, "a", "q.io/a:1");
        pull(&mut state, "a", "q.io/a:2");
        assert!(state.remove(&state.meant(id.as_str())).is_some());
        assert!(state.names.is_empty());
        assert_eq!(state.remove(&state.meant("q.io/a:1")), None);
    }

    #[test]
    fn by_digest_there_is_no_tag_and_it_outlives_a_tag() {
        let mut state = State::default();
        let by_digest = format!("q.io/a@{}", index("a"));
        let id = pull(&mut state, "a", &by_digest);
        assert_eq!(state.names_of(&id), (vec![], vec![by_digest.clone()]));
        pull(&mut state, "a", "q.io/a:1");
        assert_eq!(state.remove(&state.meant("q.io/a:1")), None);
        assert_eq!(find(&state, &by_digest), Some(id));
    }

    #[test]
    fn a_tag_that_moves_leaves_its_digest_to_the_old_image() {
        let mut state = State::default();
        let old = pull(&mut state, "a", "q.io/a:1");
        let new = pull(&mut state, "b", "q.io/a:1");
        assert_eq!(find(&state, "q.io/a:1"), Some(new));
        assert_eq!(state.names_of(&old), (vec![], vec![format!("q.io/a@{}", index("a"))]));
        // Pulled anew without a change, nothing else appears.
        pull(&mut state, "b", "q.io/a:1");
        assert_eq!(state.names.len(), 2);
    }
}
