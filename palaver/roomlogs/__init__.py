"""Logs of rooms for people to read: pages, one a day, as HTML, text or JSON.

``lines``  one thing that happened in a room, in each format
``pages``  what stands around the lines of an HTML page
``files``  where pages lie, and the thread that writes them
"""
