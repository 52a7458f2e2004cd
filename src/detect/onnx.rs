//! Mends ONNX files when they are loaded, on the level of protobuf fields.
//!
//! Old exports list their weights among the graph's inputs, which keeps ONNX Runtime from
//! folding anything into them (about half the speed is lost), and fix the picture's size to
//! what the exporter happened to use. Both are put right here without touching a weight.
//! This is no ONNX library: it knows the few fields below and copies everything else.
//!
//! Field numbers: `onnx/onnx.proto` of the ONNX project, IR version 3 to 11.

use std::collections::HashSet;

/// Why a file is no usable model. The text says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OnnxError(String);

fn bad(what: &str) -> OnnxError {
    OnnxError(format!(
        "is no ONNX model that can be read ({what}); give a .onnx file"
    ))
}

/// One input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its dimensions; `None` where the file leaves one open.
    pub dims: Vec<Option<i64>>,
}

/// What a model file declares, weights left out of the inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// True inputs, in order.
    pub inputs: Vec<Port>,
    /// Outputs, in order.
    pub outputs: Vec<Port>,
}

/// Most dimensions that a port may have; real ones have two to five.
const MAX_DIMS: usize = 8;

mod field {
    pub const MODEL_GRAPH: u64 = 7;
    pub const GRAPH_INITIALIZER: u64 = 5;
    pub const GRAPH_INPUT: u64 = 11;
    pub const GRAPH_OUTPUT: u64 = 12;
    pub const GRAPH_VALUE_INFO: u64 = 13;
    pub const GRAPH_SPARSE_INITIALIZER: u64 = 15;
    pub const TENSOR_NAME: u64 = 8;
    pub const TENSOR_EXTERNAL_DATA: u64 = 13;
    pub const TENSOR_DATA_LOCATION: u64 = 14;
    pub const VALUE_NAME: u64 = 1;
    pub const VALUE_TYPE: u64 = 2;
    pub const TYPE_TENSOR: u64 = 1;
    pub const TENSOR_TYPE_SHAPE: u64 = 2;
    pub const SHAPE_DIM: u64 = 1;
    pub const DIM_VALUE: u64 = 1;
    pub const DIM_PARAM: u64 = 2;
}

/// One protobuf field: number, content, and its bytes as they stand in the file.
struct Field<'a> {
    number: u64,
    value: Value<'a>,
    whole: &'a [u8],
}

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> Field<'a> {
    fn bytes(&self) -> Result<&'a [u8], OnnxError> {
        match self.value {
            Value::Bytes(b) => Ok(b),
            _ => Err(bad("a field has the wrong type")),
        }
    }

    fn text(&self) -> Result<String, OnnxError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| bad("a name is not UTF-8"))
    }
}

/// Walks the fields of one message.
struct Fields<'a> {
    rest: &'a [u8],
}

fn varint(rest: &mut &[u8]) -> Result<u64, OnnxError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or_else(|| bad("cut short"))?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(bad("a number is too long"))
}

fn split<'a>(rest: &mut &'a [u8], len: u64) -> Result<&'a [u8], OnnxError> {
    let len = usize::try_from(len).map_err(|_| bad("cut short"))?;
    if len > rest.len() {
        return Err(bad("cut short"));
    }
    let (head, tail) = rest.split_at(len);
    *rest = tail;
    Ok(head)
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, OnnxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let start = self.rest;
        let mut parse = || {
            let key = varint(&mut self.rest)?;
            let value = match key & 7 {
                0 => Value::Varint(varint(&mut self.rest)?),
                1 => split(&mut self.rest, 8).map(|_| Value::Fixed)?,
                2 => {
                    let len = varint(&mut self.rest)?;
                    Value::Bytes(split(&mut self.rest, len)?)
                }
                5 => split(&mut self.rest, 4).map(|_| Value::Fixed)?,
                _ => return Err(bad("an unknown field type")),
            };
            let whole = &start[..start.len() - self.rest.len()];
            Ok(Field {
                number: key >> 3,
                value,
                whole,
            })
        };
        let field = parse();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn graph(model: &[u8]) -> Result<&[u8], OnnxError> {
    let mut graph = None;
    for field in fields(model) {
        let field = field?;
        if field.number == field::MODEL_GRAPH && graph.replace(field.bytes()?).is_some() {
            return Err(bad("two graphs"));
        }
    }
    graph.ok_or_else(|| bad("no graph in it"))
}

/// Names of the weights; refuses weights kept outside the file.
fn initializers(graph: &[u8]) -> Result<HashSet<String>, OnnxError> {
    let mut names = HashSet::new();
    for field in fields(graph) {
        let field = field?;
        if field.number == field::GRAPH_SPARSE_INITIALIZER {
            return Err(OnnxError(
                "keeps sparse weights, which unface does not read; export it with dense ones"
                    .into(),
            ));
        }
        if field.number != field::GRAPH_INITIALIZER {
            continue;
        }
        for inner in fields(field.bytes()?) {
            let inner = inner?;
            match (inner.number, &inner.value) {
                (field::TENSOR_NAME, _) => {
                    names.insert(inner.text()?);
                }
                (field::TENSOR_DATA_LOCATION, Value::Varint(0)) => {}
                (field::TENSOR_DATA_LOCATION | field::TENSOR_EXTERNAL_DATA, _) => {
                    return Err(OnnxError(
                        "keeps weights in another file, which unface never opens; export it as one file".into(),
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(names)
}

fn shape_of(value_info: &[u8]) -> Result<Option<&[u8]>, OnnxError> {
    for ty in fields(value_info) {
        let ty = ty?;
        if ty.number != field::VALUE_TYPE {
            continue;
        }
        for tensor in fields(ty.bytes()?) {
            let tensor = tensor?;
            if tensor.number != field::TYPE_TENSOR {
                continue;
            }
            for shape in fields(tensor.bytes()?) {
                let shape = shape?;
                if shape.number == field::TENSOR_TYPE_SHAPE {
                    return shape.bytes().map(Some);
                }
            }
        }
    }
    Ok(None)
}

fn port(value_info: &[u8]) -> Result<Port, OnnxError> {
    let mut name = String::new();
    for field in fields(value_info) {
        let field = field?;
        if field.number == field::VALUE_NAME {
            name = field.text()?;
        }
    }
    let mut dims = Vec::new();
    for dim in fields(shape_of(value_info)?.unwrap_or_default()) {
        let dim = dim?;
        if dim.number != field::SHAPE_DIM {
            continue;
        }
        if dims.len() == MAX_DIMS {
            return Err(bad("a port with too many dimensions"));
        }
        let mut size = None;
        for value in fields(dim.bytes()?) {
            if let Field {
                number: field::DIM_VALUE,
                value: Value::Varint(v),
                ..
            } = value?
            {
                size = Some(v as i64);
            }
        }
        dims.push(size);
    }
    Ok(Port { name, dims })
}

/// Reads what a model declares.
///
/// # Errors
/// When the bytes are no ONNX model, or one with weights outside the file.
pub fn signature(model: &[u8]) -> Result<Signature, OnnxError> {
    let graph = graph(model)?;
    let weights = initializers(graph)?;
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for field in fields(graph) {
        let field = field?;
        match field.number {
            field::GRAPH_INPUT => inputs.push(port(field.bytes()?)?),
            field::GRAPH_OUTPUT => outputs.push(port(field.bytes()?)?),
            _ => {}
        }
    }
    inputs.retain(|p| !weights.contains(&p.name));
    Ok(Signature { inputs, outputs })
}

/// The model with its weights taken out of the inputs and, with `free_size`, with batch,
/// height and width of every four-dimensional port left open and inner shape notes dropped.
///
/// # Errors
/// As [`signature`].
pub fn mend(model: &[u8], free_size: bool) -> Result<Vec<u8>, OnnxError> {
    let old_graph = graph(model)?;
    let weights = initializers(old_graph)?;
    let mut new_graph = Vec::with_capacity(old_graph.len());
    for field in fields(old_graph) {
        let field = field?;
        match field.number {
            field::GRAPH_INPUT if weights.contains(&port(field.bytes()?)?.name) => {}
            field::GRAPH_INPUT | field::GRAPH_OUTPUT if free_size => {
                put_bytes(&mut new_graph, field.number, &freed(field.bytes()?)?);
            }
            field::GRAPH_VALUE_INFO if free_size => {}
            _ => new_graph.extend_from_slice(field.whole),
        }
    }
    let mut out = Vec::with_capacity(model.len());
    for field in fields(model) {
        let field = field?;
        if field.number == field::MODEL_GRAPH {
            put_bytes(&mut out, field::MODEL_GRAPH, &new_graph);
        } else {
            out.extend_from_slice(field.whole);
        }
    }
    Ok(out)
}

/// A port's description with the dimensions batch, height and width left open.
fn freed(value_info: &[u8]) -> Result<Vec<u8>, OnnxError> {
    let port = port(value_info)?;
    if port.dims.len() != 4 {
        return Ok(value_info.to_vec());
    }
    // Where the colours of a place lie side by side they come last.
    let channels = if port.dims[1].is_some() { 1 } else { 3 };
    let mut shape = Vec::new();
    for (index, dim) in port.dims.iter().enumerate() {
        let mut new_dim = Vec::new();
        match dim {
            Some(size) if index == channels => {
                put_varint(&mut new_dim, field::DIM_VALUE << 3);
                put_varint(&mut new_dim, *size as u64);
            }
            _ => put_bytes(
                &mut new_dim,
                field::DIM_PARAM,
                format!("{}_{index}", port.name).as_bytes(),
            ),
        }
        put_bytes(&mut shape, field::SHAPE_DIM, &new_dim);
    }
    let with_shape = |message: &[u8], number: u64, content: &[u8]| -> Result<Vec<u8>, OnnxError> {
        let mut out = Vec::new();
        for field in fields(message) {
            let field = field?;
            if field.number == number {
                put_bytes(&mut out, number, content);
            } else {
                out.extend_from_slice(field.whole);
            }
        }
        Ok(out)
    };
    let inner = |message: &[u8], number: u64| -> Result<Vec<u8>, OnnxError> {
        for field in fields(message) {
            let field = field?;
            if field.number == number {
                return Ok(field.bytes()?.to_vec());
            }
        }
        Err(bad("a port without a type"))
    };
    let ty = inner(value_info, field::VALUE_TYPE)?;
    let tensor = inner(&ty, field::TYPE_TENSOR)?;
    let tensor = with_shape(&tensor, field::TENSOR_TYPE_SHAPE, &shape)?;
    let ty = with_shape(&ty, field::TYPE_TENSOR, &tensor)?;
    with_shape(value_info, field::VALUE_TYPE, &ty)
}
