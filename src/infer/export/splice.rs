//! An ONNX file with some of its fields changed, at the level of Protocol Buffers' wire format.
//!
//! What is not changed is copied byte for byte: decoding and encoding it again would lose every field that
//! tract's description of the format does not have (metadata of nodes, types of sequences, what is yet to come).
//! The format: <https://protobuf.dev/programming-guides/encoding/>; tags are those of onnx.proto.

use prost::Message;
use tract_onnx::pb::{NodeProto, StringStringEntryProto, TensorProto, ValueInfoProto};

const MODEL_GRAPH: u64 = 7;
const MODEL_METADATA: u64 = 14;
const GRAPH_NODE: u64 = 1;
const GRAPH_INITIALIZER: u64 = 5;
const GRAPH_OUTPUT: u64 = 12;
const NODE_INPUT: u64 = 1;
const NODE_OUTPUT: u64 = 2;

/// Holds its content with its length before it.
const DELIMITED: u64 = 2;

/// What becomes of a file.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// All nodes in their new order, the file's and new ones.
    pub(super) nodes: Vec<Placed>,
    /// Constants to add.
    pub(super) constants: Vec<TensorProto>,
    /// Outputs to add to the graph.
    pub(super) outputs: Vec<ValueInfoProto>,
    /// Metadata to set; a key that is there already gets the new value.
    pub(super) metadata: Vec<StringStringEntryProto>,
}

/// A node at its place.
#[derive(Debug)]
pub(super) enum Placed {
    /// The file's node at this position, the tensors that it reads and gives as they are.
    Kept(usize),
    /// The file's node at this position, one tensor under another name: as an input, as an output.
    Renamed(usize, Option<Renaming>, Option<Renaming>),
    /// One that the file does not have.
    New(NodeProto),
}

/// From one name of a tensor to another.
#[derive(Clone, Debug)]
pub(super) struct Renaming {
    pub(super) from: String,
    pub(super) to: String,
}

/// The file with its changes; `None` if it is not in the wire format or has no single graph.
pub(super) fn changed(file: &[u8], changes: &Changes) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(file.len() + file.len() / 8);
    let mut graphs = 0;
    for field in fields(file)? {
        match field.tag {
            MODEL_GRAPH => {
                put(&mut out, MODEL_GRAPH, &changed_graph(field.content?, changes)?);
                graphs += 1;
            }
            MODEL_METADATA => {
                let entry = StringStringEntryProto::decode(field.content?).ok()?;
                if !changes.metadata.iter().any(|new| new.key == entry.key) {
                    out.extend_from_slice(field.whole);
                }
            }
            _ => out.extend_from_slice(field.whole),
        }
    }
    for entry in &changes.metadata {
        put(&mut out, MODEL_METADATA, &entry.encode_to_vec());
    }
    (graphs == 1).then_some(out)
}

fn changed_graph(graph: &[u8], changes: &Changes) -> Option<Vec<u8>> {
    let fields = fields(graph)?;
    let is_node = |field: &&Field<'_>| field.tag == GRAPH_NODE;
    let nodes: Vec<&[u8]> =
        fields.iter().filter(is_node).map(|field| field.content).collect::<Option<_>>()?;
    let mut out = Vec::with_capacity(graph.len() + graph.len() / 8);
    for placed in &changes.nodes {
        match placed {
            Placed::Kept(at) => put(&mut out, GRAPH_NODE, nodes.get(*at)?),
            Placed::Renamed(at, input, output) => {
                put(&mut out, GRAPH_NODE, &renamed(nodes.get(*at)?, input.as_ref(), output.as_ref())?);
            }
            Placed::New(node) => put(&mut out, GRAPH_NODE, &node.encode_to_vec()),
        }
    }
    for field in fields.iter().filter(|field| !is_node(field)) {
        out.extend_from_slice(field.whole);
    }
    for constant in &changes.constants {
        put(&mut out, GRAPH_INITIALIZER, &constant.encode_to_vec());
    }
    for output in &changes.outputs {
        put(&mut out, GRAPH_OUTPUT, &output.encode_to_vec());
    }
    Some(out)
}

fn renamed(node: &[u8], input: Option<&Renaming>, output: Option<&Renaming>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(node.len() + 32);
    for field in fields(node)? {
        let renaming = match field.tag {
            NODE_INPUT => input,
            NODE_OUTPUT => output,
            _ => None,
        };
        match renaming.filter(|renaming| field.content == Some(renaming.from.as_bytes())) {
            Some(renaming) => put(&mut out, field.tag, renaming.to.as_bytes()),
            None => out.extend_from_slice(field.whole),
        }
    }
    Some(out)
}

/// One field of a message.
struct Field<'a> {
    tag: u64,
    /// As it stands in the file, tag and all.
    whole: &'a [u8],
    /// What it holds, if it says how long that is.
    content: Option<&'a [u8]>,
}

fn fields(message: &[u8]) -> Option<Vec<Field<'_>>> {
    let (mut fields, mut rest) = (vec![], message);
    while !rest.is_empty() {
        let start = rest;
        let key = varint(&mut rest)?;
        let mut content = None;
        match key & 7 {
            0 => {
                varint(&mut rest)?;
            }
            1 => {
                take(&mut rest, 8)?;
            }
            DELIMITED => {
                let length = varint(&mut rest)?;
                content = Some(take(&mut rest, length)?);
            }
            5 => {
                take(&mut rest, 4)?;
            }
            // Groups, which no version of ONNX has.
            _ => return None,
        }
        let whole = &start[..start.len() - rest.len()];
        fields.push(Field { tag: key >> 3, whole, content });
    }
    Some(fields)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    // Seven bits a byte, the lowest first; ten bytes at most.
    for shift in (0..64).step_by(7) {
        let (&byte, left) = rest.split_first()?;
        *rest = left;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = left;
    Some(taken)
}

fn put(out: &mut Vec<u8>, tag: u64, content: &[u8]) {
    put_varint(out, tag << 3 | DELIMITED);
    put_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn field(tag: u64, content: &[u8]) -> Vec<u8> {
        let mut out = vec![];
        put(&mut out, tag, content);
        out
    }

    /// A model with two nodes, one constant and fields of every wire type that nobody knows.
    fn model() -> Vec<u8> {
        let (a, b) = ([field(1, b"x"), field(2, b"y"), field(99, b"new")].concat(), field(1, b"y"));
        let unknown =
            [&[0xf8, 0x3f, 0x96, 0x01][..], &[0xf1, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8], &[0xf5, 0x3f, 1, 2, 3, 4]];
        let graph = [field(1, &a), field(1, &b), field(5, &[7; 300]), unknown.concat()].concat();
        [&[0x08, 0x08][..], &field(7, &graph), &field(14, &field(1, b"key")), &unknown.concat()].concat()
    }

    fn kept() -> Changes {
        Changes { nodes: vec![Placed::Kept(0), Placed::Kept(1)], ..Changes::default() }
    }

    #[test]
    fn a_file_without_changes_is_the_same_to_the_byte() {
        assert_eq!(changed(&model(), &kept()), Some(model()));
    }

    #[test]
    fn a_tensor_gets_another_name_where_it_was_asked_and_only_there() {
        let to = |from: &str| Some(Renaming { from: from.into(), to: "z".into() });
        let nodes = vec![Placed::Kept(1), Placed::Renamed(0, to("y"), to("y"))];
        let file = changed(&model(), &Changes { nodes, ..Changes::default() }).unwrap();
        let graph = fields(&file).unwrap()[1].content.unwrap();
        let nodes: Vec<_> = fields(graph).unwrap().iter().take(2).map(|node| node.content.unwrap()).collect();
        let output_renamed = [field(1, b"x"), field(2, b"z"), field(99, b"new")].concat();
        assert_eq!(nodes, [&*field(1, b"y"), &*output_renamed]);
    }

    #[test]
    fn metadata_has_each_key_once() {
        let entry = StringStringEntryProto { key: "key".into(), value: "new".into() };
        let file = changed(&model(), &Changes { metadata: vec![entry], ..kept() }).unwrap();
        let entries: Vec<_> = fields(&file).unwrap().into_iter().filter(|field| field.tag == 14).collect();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].content, Some(&*[field(1, b"key"), field(2, b"new")].concat()));
    }

    #[test]
    fn what_was_cut_off_or_is_no_message_is_not_written() {
        let model = model();
        let whole: Vec<usize> =
            (0..model.len()).filter(|&end| changed(&model[..end], &kept()).is_some()).collect();
        // Only after a field at the top, the graph among those before, is a file whole.
        assert!(whole.iter().all(|&end| fields(&model[..end]).is_some()) && whole.len() == 4, "{whole:?}");
        assert_eq!(changed(&[0x0b], &kept()), None);
        assert_eq!(changed(&[0xff; 20], &kept()), None);
        assert_eq!(changed(&[field(7, b""), field(7, b"")].concat(), &Changes::default()), None);
    }
}
