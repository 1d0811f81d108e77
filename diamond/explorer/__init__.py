"""The explorer: choose a picture, a layer and a class, and look at what the network sees.

In a notebook it is an anywidget: one small package that is kept, runs on Colab's ipywidgets 7.7 as on today's, and speaks
through the notebook itself, where Gradio would bring some fifty packages, a web server and fonts from elsewhere.
``diamond explore`` serves the very same ES module from a small server of the standard library, since two kinds of
answer on one's own machine need no framework.

A *session* holds what is chosen and does the work; the *page* shows it. They exchange messages, plain dictionaries: the
page says what to ``do``, the session what to ``say``.
"""
