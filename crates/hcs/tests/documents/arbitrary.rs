//! Arbitrary documents: made of the tables, of anything at all, and of one with something of the other in it.

use hcs::document::{Field, SchemaVersion, Shape, Since, Table};
use hcs::documents;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Once in `n`.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// Makes values of shapes, and knows what they need.
struct Maker {
    dice: Dice,
    /// Nothing later than this.
    limit: SchemaVersion,
    /// The latest that was used.
    used: SchemaVersion,
    /// Fields and values that no table has, and nulls.
    wild: bool,
}

impl Maker {
    fn new(seed: u64, limit: SchemaVersion, wild: bool) -> Self {
        Self {
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            limit,
            used: SchemaVersion::V1,
            wild,
        }
    }

    fn may_use(&self, since: Since) -> bool {
        !matches!(since, Since::Schema(version) if version > self.limit)
    }

    fn uses(&mut self, since: Since) {
        if let Since::Schema(version) = since {
            self.used = self.used.max(version);
        }
    }

    fn object(&mut self, table: &Table, depth: usize) -> Value {
        self.uses(table.since);
        let mut fields = Map::new();
        for field in table.fields {
            if self.may_use(table.since(field)) && self.reachable(field) && self.dice.once_in(1 + depth) {
                if self.wild && self.dice.once_in(20) {
                    fields.insert(field.name.into(), Value::Null);
                    continue;
                }
                self.uses(table.since(field));
                let value = self.value((field.shape)(), depth + 1);
                fields.insert(field.name.into(), value);
            }
        }
        if self.wild && self.dice.once_in(5) {
            let value = anything(&mut self.dice, 2);
            fields.insert(format!("Unheard{}", self.dice.below(10)), value);
        }
        Value::Object(fields)
    }

    /// A field may be older than the object in it.
    fn reachable(&self, field: &Field) -> bool {
        fn innermost(shape: Shape) -> Shape {
            match shape {
                Shape::List(element, _) | Shape::Map(_, element) => innermost(element()),
                shape => shape,
            }
        }
        match innermost((field.shape)()) {
            Shape::Object(table) => self.may_use(table.since),
            Shape::Word(words) | Shape::Number(words, _) => {
                words.values.iter().any(|(value, _)| self.may_use(words.since_of(value)))
            }
            _ => true,
        }
    }

    fn value(&mut self, shape: Shape, depth: usize) -> Value {
        match shape {
            Shape::Bool => json!(self.dice.once_in(2)),
            Shape::Integer { least, greatest, .. } => {
                let between = (self.dice.next() >> self.dice.below(64)).min(greatest);
                self.dice.one_of(&[json!(least), json!(greatest), json!(0), json!(between)]).clone()
            }
            Shape::Float => json!(0.5 + self.dice.below(100) as f64),
            Shape::Text(kind) => json!(text(&mut self.dice, kind)),
            Shape::Any => match anything(&mut self.dice, 3) {
                Value::Null => json!({}),
                value => value,
            },
            Shape::Word(words) => {
                if self.wild && self.dice.once_in(10) {
                    return json!(format!("Unheard{}", self.dice.below(10)));
                }
                let may: Vec<_> =
                    words.values.iter().filter(|(v, _)| self.may_use(words.since_of(v))).collect();
                let (value, _) = self.dice.one_of(&may);
                self.uses(words.since_of(value));
                json!(value)
            }
            Shape::Number(words, _) => {
                let may: Vec<_> =
                    words.values.iter().filter(|(v, _)| self.may_use(words.since_of(v))).collect();
                let (value, _) = self.dice.one_of(&may);
                // `None` is no bit, and needs nothing.
                if *value != "None" {
                    self.uses(words.since_of(value));
                }
                json!(value)
            }
            Shape::Object(table) => self.object(table, depth),
            Shape::List(element, length) => {
                let length = length.unwrap_or_else(|| self.dice.below(3));
                (0..length).map(|_| self.value(element(), depth)).collect()
            }
            Shape::Map(key, element) => {
                let keys: BTreeSet<_> = (0..self.dice.below(3)).map(|_| text(&mut self.dice, key)).collect();
                Value::Object(keys.into_iter().map(|key| (key, self.value(element(), depth))).collect())
            }
            Shape::Either(one, other) => {
                let shape = if self.dice.once_in(2) { one() } else { other() };
                self.value(shape, depth)
            }
        }
    }
}

fn text(dice: &mut Dice, kind: &str) -> String {
    match kind {
        "Guid" => {
            let digits = format!("{:016x}{:016x}", dice.next(), dice.next());
            let (a, b, c, d, e) =
                (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
            match dice.below(3) {
                0 => format!("{a}-{b}-{c}-{d}-{e}"),
                1 => format!("{a}-{b}-{c}-{d}-{e}").to_uppercase(),
                _ => format!("{{{a}-{b}-{c}-{d}-{e}}}"),
            }
        }
        "uint8" => dice.below(256).to_string(),
        "uint32" => (dice.next() as u32).to_string(),
        "uint64" => dice.next().to_string(),
        _ => (*dice.one_of(&["", "a", r"C:\test", "€", "a\"b\\c\n", "\u{0}", "2026-01-01T00:00:00Z"]))
            .to_owned(),
    }
}

/// Any JSON.
fn anything(dice: &mut Dice, depth: usize) -> Value {
    match dice.below(if depth == 0 { 7 } else { 9 }) {
        0 => Value::Null,
        1 => json!(dice.once_in(2)),
        2 => json!(dice.next()),
        3 => json!(dice.next() as i64),
        // A fraction that has an end: text is read to the last bit only with a feature of serde_json.
        4 => json!((dice.next() as i32) as f64 / 64.0 + 1.0 / 128.0),
        5 => json!(text(dice, "string")),
        6 => json!(-1),
        7 => (0..dice.below(4)).map(|_| anything(dice, depth - 1)).collect(),
        _ => {
            let names = ["Type", "Container", "Settings", "0", "ID", "", "VirtualMachine", "Flags", "x"];
            let fields = 0..dice.below(4);
            Value::Object(
                fields.map(|_| ((*dice.one_of(&names)).into(), anything(dice, depth - 1))).collect(),
            )
        }
    }
}

fn tables() -> impl Iterator<Item = &'static Table> {
    documents::tables().chain(documents::v1::tables()).chain(documents::network::tables())
}

const LATEST: SchemaVersion = SchemaVersion::new(2, u32::MAX);

#[test]
fn what_is_read_is_written() {
    for table in tables() {
        for seed in 1..=40 {
            let value = Maker::new(seed, LATEST, true).object(table, 0);
            let document = (table.read)(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"));
            assert_eq!(document.to_value(), value, "{}", table.name);
            let text = format!("{document:?}");
            let json = text.strip_prefix(table.name).unwrap();
            assert_eq!(serde_json::from_str::<Value>(json).unwrap(), value, "{}", table.name);
        }
    }
}

#[test]
fn a_document_of_a_version_passes_a_host_of_that_version() {
    for minor in 0..=14 {
        let host = SchemaVersion::new(2, minor);
        for table in tables().filter(|table| !matches!(table.since, Since::Schema(since) if since > host)) {
            for seed in 1..=10 {
                let value = Maker::new(seed, host, false).object(table, 0);
                let document = (table.read)(value).unwrap();
                document.check(host).unwrap();
            }
        }
    }
}

#[test]
fn a_document_passes_from_the_version_on_that_it_needs() {
    let mut refused = 0;
    for table in tables() {
        for seed in 1..=40 {
            let mut maker = Maker::new(seed, LATEST, true);
            let value = maker.object(table, 0);
            let document = (table.read)(value).unwrap();
            let needs = document.needs();
            assert_eq!(needs, maker.used, "{document:?}");
            document.check(needs).unwrap();
            if let Some(minor) = needs.minor.checked_sub(1) {
                let older = SchemaVersion::new(needs.major, minor);
                assert_eq!(document.check(older).unwrap_err().needs, first_beyond(&*document, older));
                refused += 1;
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

/// What the first refusal names is newer than the host, and no newer than the document needs.
fn first_beyond(document: &dyn hcs::document::Object, host: SchemaVersion) -> SchemaVersion {
    let error = document.check(host).unwrap_err();
    assert!(error.needs > host && error.needs <= document.needs(), "{error}");
    assert_eq!(error.host, host);
    error.needs
}

#[test]
fn anything_is_read_or_refused() {
    let mut dice = Dice(1);
    let mut read = 0;
    for table in tables() {
        for _ in 0..200 {
            let value = anything(&mut dice, 4);
            if let Ok(document) = (table.read)(value.clone()) {
                assert_eq!(document.to_value(), value, "{}", table.name);
                document.needs();
                read += 1;
            }
        }
    }
    assert!(read > 500, "{read}");
}

#[test]
fn what_is_wrong_in_a_document_is_named_by_its_path() {
    let mut dice = Dice(7);
    let (mut read, mut refused) = (0, 0);
    for table in tables() {
        for seed in 1..=20 {
            let mut value = Maker::new(seed, LATEST, false).object(table, 0);
            let Some(pointer) = some_place(&value, &mut dice) else { continue };
            let wrong = anything(&mut dice, 1);
            *value.pointer_mut(&pointer).unwrap() = wrong.clone();
            match (table.read)(value.clone()) {
                Ok(document) => {
                    assert_eq!(document.to_value(), value, "{}", table.name);
                    read += 1;
                }
                Err(error) => {
                    let place = pointer.replace('/', ".");
                    let named = error.path().replace('[', ".").replace(']', "");
                    assert!(format!(".{named}").starts_with(&place), "{error}: {pointer} is {wrong}");
                    refused += 1;
                }
            }
        }
    }
    assert!(read > 500 && refused > 1000, "{read} {refused}");
}

/// The pointer to some value of a document, whose keys have nothing in them that a pointer escapes.
fn some_place(value: &Value, dice: &mut Dice) -> Option<String> {
    let mut places = Vec::new();
    fn collect(value: &Value, at: &str, places: &mut Vec<String>) {
        let children: Vec<(String, &Value)> = match value {
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Array(elements) => {
                elements.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
            }
            _ => return,
        };
        for (name, value) in children {
            if !name.is_empty() && !name.contains(['/', '~', '.', '[', ']']) {
                let place = format!("{at}/{name}");
                collect(value, &place, places);
                places.push(place);
            }
        }
    }
    collect(value, "", &mut places);
    (!places.is_empty()).then(|| dice.one_of(&places).clone())
}
