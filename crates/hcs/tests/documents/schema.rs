//! The tables say what the published schemas say: every object, field, type, value and version, and nothing
//! else.

use hcs::document::{Since, Table, Words};
use hcs::documents;
use std::collections::{BTreeMap, BTreeSet};

/// Fields whose type is more exact than the schema's: what the schema says, and ours.
const MORE_EXACT: &[(&str, &str, &str)] = &[
    ("ComputeSystem.HostedSystem", "Any", "HostedSystem"),
    ("ModifySettingRequest.GuestRequest", "Any", "GuestModifySettingRequest"),
    ("GuestModifySettingRequest.ResourceType", "ModifyResourceType", "GuestResourceType"),
    ("SignalProcessOptions.Signal", "ProcessSignal", "ProcessSignal or int32"),
    ("RegistryMakeValue.data_binary", "NullableByteArray", "ByteArray"),
    ("ContainerCredentialGuardState.Cookie", "string_binary", "ByteArray"),
];

/// One line of a fixture: its name with its version, and its parts.
struct Line<'a> {
    kind: &'a str,
    name: &'a str,
    since: &'a str,
    parts: Vec<&'a str>,
}

fn lines(fixture: &str) -> impl Iterator<Item = Line<'_>> {
    let lines = fixture.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (head, parts) = line.split_once(':').unwrap();
        let (kind, name) = head.split_once(' ').unwrap();
        let (name, since) = name.split_once('@').unwrap_or((name, "2.0"));
        Line { kind, name, since, parts: parts.split_whitespace().collect() }
    })
}

/// What a fixture says: `Object.Field` to type and version, `Enumeration.Value` to version.
fn published(fixture: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut base = Vec::new();
    for line in lines(fixture) {
        let Line { kind, name, since, parts } = line;
        let version = |part: &str| part.rsplit_once('@').map_or(since, |(_, version)| version).to_owned();
        let bare = |part: &str| part.rsplit_once('@').map_or(part, |(bare, _)| bare).to_owned();
        match kind {
            "enum" | "number" => {
                for part in &parts {
                    all.insert(format!("{name}.{}", bare(part)), format!("a value since {}", version(part)));
                }
            }
            "base" => base = parts,
            "object" => {
                all.insert(name.to_owned(), format!("an object since {since}"));
                let fields = parts.iter().flat_map(|part| match *part {
                    "+Base" => base.clone(),
                    part => vec![part],
                });
                for part in fields {
                    let (field, kind) = part.split_once('=').unwrap();
                    let path = format!("{name}.{field}");
                    let kind = spelled(&bare(kind));
                    let exact = MORE_EXACT.iter().find(|(of, theirs, _)| *of == path && *theirs == kind);
                    let kind = exact.map_or(kind, |(_, _, ours)| (*ours).to_owned());
                    all.insert(path, format!("{kind} since {}", version(part)));
                }
            }
            "beyond" => {}
            other => panic!("{other}"),
        }
    }
    all
}

/// `T[]`, `T[2]` and `T{K}` as the schema's reference spells them.
fn spelled(kind: &str) -> String {
    if let Some((element, key)) = kind.strip_suffix('}').and_then(|kind| kind.split_once('{')) {
        return format!("Map<{key}, {element}>");
    }
    match kind.strip_suffix(']').and_then(|kind| kind.split_once('[')) {
        Some((element, "")) => format!("<{element}> array"),
        Some((element, length)) => format!("<{element}, {length}> array"),
        None => kind.to_owned(),
    }
}

/// What the tables say of it, without what no schema publishes.
fn ours(
    tables: impl Iterator<Item = &'static Table>,
    words: impl Iterator<Item = &'static Words>,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for table in tables.filter(|table| table.since != Since::Unpublished) {
        all.insert(table.name.to_owned(), format!("an object since {}", table.since));
        for field in table.fields.iter().filter(|field| table.since(field) != Since::Unpublished) {
            let said = format!("{} since {}", (field.shape)(), table.since(field));
            assert!(all.insert(format!("{}.{}", table.name, field.name), said).is_none(), "{}", field.name);
        }
    }
    for words in words.filter(|words| words.since != Since::Unpublished) {
        for (value, _) in words.values.iter().filter(|(value, _)| words.since_of(value) != Since::Unpublished)
        {
            all.insert(format!("{}.{value}", words.name), format!("a value since {}", words.since_of(value)));
        }
    }
    all
}

/// `Object.Field` of everything beyond the published schema.
fn beyond(fixture: &str) -> BTreeSet<String> {
    let lines = lines(fixture).filter(|line| line.kind == "beyond");
    lines.flat_map(|line| line.parts.into_iter().map(move |part| format!("{}.{part}", line.name))).collect()
}

fn unpublished(tables: impl Iterator<Item = &'static Table>) -> BTreeSet<String> {
    tables
        .flat_map(|table| {
            let fields = table.fields.iter().filter(|field| table.since(field) == Since::Unpublished);
            fields.map(|field| format!("{}.{}", table.name, field.name))
        })
        .collect()
}

/// The two differ nowhere; if they do, everything that differs is told at once.
fn same(published: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) {
    let paths: BTreeSet<_> = published.keys().chain(ours.keys()).collect();
    let differences: Vec<_> = paths
        .into_iter()
        .filter(|path| published.get(*path) != ours.get(*path))
        .map(|path| format!("{path}: published {:?}, ours {:?}", published.get(path), ours.get(path)))
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

const HCS: &str = include_str!("hcs.schema");
const HCN: &str = include_str!("hcn.schema");

#[test]
fn the_tables_of_hcs_are_the_published_schema() {
    let published = published(HCS);
    let mut ours = ours(documents::tables(), documents::words());
    // The enumeration that stands for ModifyResourceType, with the values that guests take beyond it.
    ours.retain(|path, _| !path.starts_with("GuestResourceType."));
    same(&published, &ours);
    assert_eq!(lines(HCS).filter(|line| line.kind == "enum").count(), 64);
    assert_eq!(lines(HCS).filter(|line| line.kind == "object").count(), 187);
}

#[test]
fn the_tables_of_hcn_are_the_published_schema() {
    let published = published(HCN);
    let is_legacy = |table: &&Table| table.since == Since::Schema(hcs::document::SchemaVersion::V1);
    let tables = documents::network::tables().filter(|table| !is_legacy(table));
    same(&published, &ours(tables, documents::network::words()));
    let beyond = beyond(HCN);
    assert_eq!(beyond, unpublished(documents::network::tables()));
}

#[test]
fn what_clients_use_beyond_the_published_schema_is_there() {
    let ours = unpublished(documents::tables());
    let missing: Vec<_> = beyond(HCS).into_iter().filter(|path| !ours.contains(path)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn no_two_fields_of_an_object_have_one_name() {
    let tables = documents::tables().chain(documents::v1::tables()).chain(documents::network::tables());
    for table in tables {
        let names: BTreeSet<_> = table.fields.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), table.fields.len(), "{}", table.name);
    }
}

#[test]
fn the_container_of_schema_1_has_its_fields() {
    let table = documents::v1::tables().find(|table| table.name == "ContainerConfig").unwrap();
    let names: BTreeSet<_> = table.fields.iter().map(|field| field.name).collect();
    for name in "SystemType Name Owner VolumePath IgnoreFlushesDuringBoot LayerFolderPath Layers Credentials \
                 ProcessorCount ProcessorWeight ProcessorMaximum StorageIOPSMaximum StorageBandwidthMaximum \
                 StorageSandboxSize MemoryMaximumInMB HostName MappedDirectories MappedPipes HvPartition \
                 NetworkSharedContainerName EndpointList HvRuntime Servicing AllowUnqualifiedDNSQuery \
                 DNSSearchList ContainerType TerminateOnLastHandleClosed MappedVirtualDisks AssignedDevices"
        .split_whitespace()
    {
        assert!(names.contains(name), "{name}");
    }
}
