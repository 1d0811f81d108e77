"""One reading of the Keras graph: nothing hidden, nothing changed, the same numbers."""

import keras
import numpy as np
import pytest
from keras import layers

from modelzoo.graph import GraphError, UnknownLayerError, read_graph
from tests import tiny


@pytest.fixture(autouse=True)
def _names_begin_anew():
    """Keras numbers operations without a name through the whole process."""
    keras.utils.clear_session()


def addresses(model):
    return [node.address for node in read_graph(model)]


def picture(model, seed=0):
    shape = [size or 8 for size in model.inputs[0].shape[1:]]
    return np.random.default_rng(seed).random((2, *shape), dtype=np.float32)


def test_an_operation_that_is_no_layer_is_a_node():
    assert addresses(tiny.shared()) == ["image", "c", "c@2", "multiply", "add", "mean"]


def test_calls_of_a_shared_layer_are_told_apart():
    graph = read_graph(tiny.shared())
    pixels = np.ones((1, 6, 6, 3), np.float32)
    first, second, total = graph.evaluate({0: pixels}, [graph["c"], graph["c@2"], graph["mean"]])
    assert (graph["c"].call, graph["c@2"].call) == (1, 2)
    assert float(first[0, 0, 0, 0]) == 3.0
    assert float(second[0, 0, 0, 0]) == 9.0
    assert np.asarray(total).tolist() == [[15.0, 15.0, 15.0]]


def test_models_nested_three_deep_are_opened():
    graph = read_graph(tiny.nested())
    assert [node.address for node in graph] == [
        "image",
        "rescale",
        "backbone/block/conv:linear",
        "backbone/block/conv",
        "backbone/pool",
        "backbone/wide",
        "mean",
        "head",
    ]
    assert graph["backbone/block"] is graph["backbone/block/conv"]
    assert graph["backbone"] is graph["backbone/wide"]


def test_a_model_called_twice_is_opened_twice():
    inside = keras.Input((4,), name="inside")
    twin = keras.Model(inside, layers.Dense(4, name="dense")(inside), name="twin")
    x = keras.Input((4,), name="x")
    model = keras.Model(x, twin(twin(x)))
    assert addresses(model) == ["x", "twin/dense", "twin@2/dense"]


@pytest.mark.parametrize("build", [tiny.one_filter, tiny.linear_tail, tiny.shared, tiny.nested])
def test_evaluation_equals_the_model(build):
    model = build()
    graph = read_graph(model)
    pixels = picture(model)
    [answer] = graph.evaluate({0: pixels}, [graph.nodes[graph.outputs[0].node]])
    np.testing.assert_allclose(answer, model(pixels), rtol=1e-6, atol=1e-7)


def test_a_layers_own_activation_is_a_node_of_its_own():
    graph = read_graph(tiny.one_filter())
    black = np.zeros((1, 4, 4, 3), np.float32)
    before, after = graph.evaluate({0: black}, [graph["sum:linear"], graph["sum"]])
    assert float(before[0, 0, 0, 0]) == -1.0
    assert float(after[0, 0, 0, 0]) == 0.0
    assert graph["sum"].nonlinearity == "relu"
    assert graph["sum:linear"].nonlinearity is None
    assert graph["sum"].weights == ()
    assert [w.name for w in graph["sum:linear"].weights] == ["kernel", "bias"]


def test_reading_and_evaluating_leave_the_model_as_it_was():
    model = tiny.one_filter()
    layer = model.get_layer("sum")
    before = (len(layer._inbound_nodes), layer.activation, model.get_config())
    graph = read_graph(model)
    graph.evaluate({0: picture(model)}, list(graph.nodes))
    assert (len(layer._inbound_nodes), layer.activation, model.get_config()) == before


def test_evaluation_goes_on_from_the_middle():
    graph = read_graph(tiny.one_filter())
    [answer] = graph.evaluate({graph["mean"].index: np.array([[3.0]], np.float32)}, [graph["answer:linear"]])
    assert np.asarray(answer).tolist() == [[6.0, -3.0]]


def test_evaluation_computes_only_what_is_needed():
    graph = read_graph(tiny.one_filter())
    ran = []
    graph.evaluate({0: picture(tiny.one_filter())}, [graph["sum:linear"]], replace=lambda n: ran.append(n.address))
    assert ran == ["sum:linear"]


def test_an_operation_can_be_replaced():
    graph = read_graph(tiny.one_filter())
    black = np.zeros((1, 4, 4, 3), np.float32)
    swap = {"sum": lambda x: x * 10.0}
    [value] = graph.evaluate({0: black}, [graph["sum"]], replace=lambda node: swap.get(node.address))
    assert float(value[0, 0, 0, 0]) == -10.0


def test_branches_stay_together():
    image = keras.Input((8, 8, 3), name="image")
    left = layers.Conv2D(2, 1, name="left2")(layers.Conv2D(2, 1, name="left1")(image))
    right = layers.Conv2D(2, 1, name="right2")(layers.Conv2D(2, 1, name="right1")(image))
    model = keras.Model(image, layers.Concatenate(name="both")([left, right]))
    assert addresses(model) == ["image", "left1", "left2", "right1", "right2", "both"]


def test_a_network_as_deep_as_keras_allows_is_read():
    x = image = keras.Input((2,), name="image")
    for _ in range(200):
        x = layers.ReLU()(x)
    assert len(read_graph(keras.Model(image, x))) == 201


def test_a_submodel_made_from_intermediate_tensors():
    model = tiny.linear_tail()
    upper = keras.Model(model.get_layer("features").output, model.get_layer("logits").output)
    graph = read_graph(upper)
    assert [node.address for node in graph][1:] == ["pool", "logits"]
    assert graph["pool"].shape == (None, 5)


def test_several_inputs_and_outputs():
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    model = keras.Model([a, b], [layers.Add(name="sum")([a, b]), layers.Dense(1, name="one")(a)])
    graph = read_graph(model)
    assert [graph.nodes[ref.node].address for ref in graph.inputs] == ["a", "b"]
    assert [graph.nodes[ref.node].address for ref in graph.outputs] == ["sum", "one"]
    with pytest.raises(GraphError, match="input 'b' is needed and was not given"):
        graph.evaluate({0: np.ones((1, 2), np.float32)}, [graph["sum"]])


def test_dropout_does_nothing_and_batch_norm_uses_its_moving_statistics():
    image = keras.Input((4, 4, 3), name="image")
    model = keras.Model(image, layers.Dropout(0.9)(layers.BatchNormalization()(image)))
    model.layers[1].moving_mean.assign([1.0, 1.0, 1.0])
    model.layers[1].moving_variance.assign([4.0 - 1e-3] * 3)
    graph = read_graph(model)
    [value] = graph.evaluate({0: np.full((1, 4, 4, 3), 5.0, np.float32)}, [graph.nodes[-1]])
    np.testing.assert_allclose(value, 2.0, rtol=1e-6)


def test_unknown_layer_names_the_nearest():
    graph = read_graph(tiny.nested())
    with pytest.raises(UnknownLayerError, match="did you mean 'backbone/block/conv'"):
        graph["conv"]
    with pytest.raises(UnknownLayerError, match="no layer 'haed'; did you mean 'head'"):
        graph["haed"]


def test_a_subclassed_model_is_refused_with_a_way_out_that_works():
    model = tiny.subclassed()
    with pytest.raises(GraphError, match=r"keras.Model\(image, your_model.call\(image\)\)"):
        read_graph(model)
    image = keras.Input((8, 8, 3), name="image")
    opened = keras.Model(image, model.call(image))
    assert addresses(opened) == ["image", "conv", "multiply", "mean"]
    pixels = picture(opened)
    np.testing.assert_allclose(opened(pixels), model(pixels), rtol=1e-6)


def test_an_unbuilt_sequential_is_refused_with_a_way_out_that_works():
    model = keras.Sequential([layers.Conv2D(2, 3, name="conv"), layers.GlobalAveragePooling2D(name="mean")])
    with pytest.raises(GraphError, match=r"model.build\(\(None, height, width, 3\)\)"):
        read_graph(model)
    model.build((None, 8, 8, 3))
    assert addresses(model)[1:] == ["conv", "mean"]


def test_what_is_no_keras_model_is_refused():
    with pytest.raises(GraphError, match=r"expected a Keras model, found builtins.dict"):
        read_graph({})
